// What scrolls sideways can be reached with the keyboard, once the theme has made it.
function reach() {
  for (const box of document.querySelectorAll("pre > code, .md-typeset__scrollwrap")) box.tabIndex = 0;
}
addEventListener("load", () => {
  reach();
  new MutationObserver(reach).observe(document.body, { childList: true, subtree: true });
});
