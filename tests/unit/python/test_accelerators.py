"""What names and versions say of accelerators."""

from dataclasses import dataclass

import pytest

from lockstitch.python import accelerators


@dataclass(frozen=True)
class Package:
    name: str
    version: str


def stack(text: str) -> accelerators.Stack[Package]:
    return accelerators.of(Package(*each.split("==")) for each in text.split())


# As an index resolved `torch xgboost` in November 2026, without what has nothing to do with it.
TORCH_13 = (
    "cuda-bindings==13.5.0 cuda-pathfinder==1.9.1 cuda-toolkit==13.2.2 nvidia-cublas==13.4.1.3 "
    "nvidia-cuda-cccl==13.3.5.0.6 nvidia-cuda-cupti==13.2.86 nvidia-cuda-nvrtc==13.2.86 "
    "nvidia-cuda-runtime==13.2.86 nvidia-cudnn-cu13==9.26.0.51 nvidia-cufft==12.2.0.57 "
    "nvidia-cufile==1.17.1.22 nvidia-cusolver==12.2.0.11 nvidia-cusparse==12.7.10.12 "
    "nvidia-cusparselt-cu13==0.8.1 nvidia-nccl-cu12==2.32.3 nvidia-nccl-cu13==2.30.7 "
    "nvidia-nvjitlink==13.5.37 nvidia-nvshmem-cu13==3.7.2 nvidia-nvtx==13.2.86 numpy==2.3.1 "
    "torch==2.15.0 torchvision==0.29.2 triton==3.9.0 xgboost==3.2.0 nvidia-ml-py==13.580.82"
)


@pytest.mark.parametrize(
    ("text", "cuda", "count", "others", "built"),
    [
        (TORCH_13, "13.2", 20, "nvidia-nccl-cu12", "torch:cu132 torchvision:cu132"),
        ("numpy==2.3.1 nvidia-ml-py==13.580.82", "", 0, "", ""),
        ("torch==2.9.0+cpu torchvision==0.24.0+cpu", "", 0, "", "torch:cpu torchvision:cpu"),
        ("torch==2.9.0 torchvision==0.24.0", "", 0, "", "torch:cpu"),
        ("torch==1.12.1", "", 0, "", ""),  # which had CUDA inside
        ("torch==2.9.0+cu128 triton==3.5.0", "12.8", 2, "", "torch:cu128"),
        ("torch==2.6.0+cu118 nvidia-nccl-cu11==2.21.5", "11.8", 2, "", "torch:cu118"),
        ("torch==2.9.0+rocm6.4", "", 0, "", "torch:rocm"),
        ("torch==2.9.0+xpu", "", 0, "", "torch:xpu"),
        ("torch==2.5.1+cpu.cxx11.abi", "", 0, "", "torch:cpu"),
        (
            "torch==2.5.0 nvidia-cuda-runtime-cu12==12.4.127 nvidia-cublas-cu12==12.4.5.8",
            "12.4",
            2,
            "",
            "torch:cu124",
        ),
        ("flash-attn==2.8.3+cu12torch2.8cxx11abitrue", "12", 1, "", "flash-attn:cu12"),
        ("torch-scatter==2.1.2+pt26cu124", "12.4", 1, "", "torch-scatter:cu124"),
        ("cupy-cuda12x==13.6.0 fastrlock==0.8", "12", 1, "", ""),
        ("cupy-cuda111==10.0", "11.1", 1, "", ""),
        ("jax-cuda13-plugin==0.8.0 jax-cuda13-pjrt==0.8.0 jax==0.8.0", "13", 2, "", ""),
        ("onnxruntime-gpu==1.23.2", "", 1, "", ""),
        ("cudf-cu12==25.10 nvidia-nccl-cu13==2.27", "13", 2, "cudf-cu12", ""),
        ("xgboost==3.2.0 nvidia-nccl-cu12==2.32.3", "12", 1, "", ""),
        ("demo==1.0+computecanada other==1+local", "", 0, "", ""),
        ("acu12==1 cu1234==2", "", 0, "", ""),
    ],
)
def test_what_packages_compute_on(
    text: str, cuda: str, count: int, others: str, built: str
) -> None:
    found = stack(text)
    assert found.cuda == cuda
    assert len(found.packages) == count
    assert " ".join(other.name for other in found.others) == others
    assert " ".join(f"{each.name}:{have}" for each, have in found.built) == built


@pytest.mark.parametrize(
    ("explicit", "names", "wanted"),
    [
        ("", "cpu", "cpu"),
        ("", "serve torch-cu128", "cu128"),
        ("", "train-gpu", "gpu"),
        ("", "gpu cu13", "cu13"),
        ("", "serve", ""),
        ("", "cpu cu128", ""),  # which exclude each other: neither is meant
        ("", "cuisine cpu_bound", "cpu"),
        ("rocm", "cpu", "rocm"),
    ],
)
def test_what_an_image_asks_for(explicit: str, names: str, wanted: str) -> None:
    assert accelerators.asked(explicit, names.split()) == wanted


@pytest.mark.parametrize(
    ("text", "wanted", "wrong"),
    [
        ("torch==2.9.0+cu128", "cuda", ""),
        ("torch==2.9.0+cu128", "gpu", ""),
        ("torch==2.9.0+cu128", "cu12", ""),
        ("torch==2.9.0+cu128", "cu128", ""),
        ("torch==2.9.0+cu128", "cu126", "torch"),
        ("torch==2.9.0+cu128", "cu13", "torch"),
        ("torch==2.9.0+cu128", "cpu", "torch"),
        ("torch==2.9.0+cu128", "rocm", "torch"),
        ("torch==2.9.0+rocm6.4", "gpu", ""),
        ("torch==2.9.0+rocm6.4", "cuda", "torch"),
        ("torch==2.9.0+cpu", "gpu", "torch"),
        ("torch==2.9.0", "cu128", "torch"),
        ("torch==2.9.0", "cpu", ""),
        ("flash-attn==2.8.3+cu12torch2.8", "cu128", ""),
        (TORCH_13, "cpu", "torch torchvision"),
        ("xgboost==3.2.0 nvidia-nccl-cu12==2.32.3", "cpu", ""),
    ],
)
def test_what_is_built_for_another_accelerator(text: str, wanted: str, wrong: str) -> None:
    assert " ".join(each.name for each, _ in stack(text).wrong(wanted)) == wrong


def test_what_serves() -> None:
    assert stack("onnxruntime-gpu==1.23.2 nvidia-cudnn-cu12==9.1").serves("cu128")
    assert not stack("onnxruntime-gpu==1.23.2 nvidia-cudnn-cu12==9.1").serves("cu13")
    assert stack("numpy==2").serves("cpu")
    assert not stack("nvidia-nccl-cu12==2.3").serves("cpu")
    assert not stack("numpy==2").serves("cuda")


def test_drivers() -> None:
    assert accelerators.driver("12.8") == "525"
    assert accelerators.driver("13.2") == "580"
    assert accelerators.driver("9.0") == ""
    assert accelerators.whole("12.8") == "570"
    assert accelerators.whole("13.9") == ""
    assert accelerators.older("470.82.01", "525")
    assert not accelerators.older("525.60.13", "525")
