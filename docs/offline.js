// Search runs in a worker, which browsers refuse on `file:` addresses. There the worker's script runs
// in a frame of the page instead, and messages take a turn of the event loop, as a worker's do.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(address) {
      this.waiting = [];
      if (document.body) this.#begin(address);
      else addEventListener("DOMContentLoaded", () => this.#begin(address));
    }
    #begin(address) {
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.title = "search";
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      inside.postMessage = (data) => setTimeout(() => this.onmessage?.({ data }));
      const script = inside.document.createElement("script");
      script.src = String(address);
      script.onload = () => {
        this.ready = inside;
        this.waiting.splice(0).forEach((data) => this.postMessage(data));
      };
      inside.document.body.append(script);
    }
    postMessage(data) {
      if (this.ready) setTimeout(() => this.ready.onmessage?.({ data }));
      else this.waiting.push(data);
    }
    terminate() {
      this.frame?.remove();
    }
  };
}
