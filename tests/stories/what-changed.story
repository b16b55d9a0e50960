Accuracy fell and the code is the same: the lock says what changed, what can change results first.

$ git init --quiet
$ git add .
$ git commit --quiet -m "as it was"
$ cp later.lock uv.lock
$ lockstitch diff HEAD uv.lock  # exits 1
> what can change results
> name           change       from    to      imported  required by
> scikit-learn   changed      1.5.2   1.6.1             you
> numpy          other files  1.26.4  1.26.4            scikit-learn
> threadpoolctl  changed      3.5.0   3.6.0             scikit-learn
>
> known changes of results between these versions
>   scikit-learn 1.6: HistGradientBoosting takes pandas categories as categories (categorical_features="from_dtype") (scikit-learn 1.6 reference, HistGradientBoostingClassifier, categorical_features)
>   scikit-learn 1.6: NMF takes the number of components from a custom start (n_components="auto") (scikit-learn 1.6 reference, NMF, n_components)
>
> and 1 difference not known to change results (--all)
> code at each start of Python: not known of `numpy`, whose wheels were not read here
$ lockstitch diff uv.lock@HEAD uv.lock --image train --platform linux/amd64 --all  # exits 1
> what can change results
> name           change       from    to      imported  required by
> scikit-learn   changed      1.5.2   1.6.1             you
> numpy          other files  1.26.4  1.26.4            scikit-learn
> threadpoolctl  changed      3.5.0   3.6.0             scikit-learn
>
> known changes of results between these versions
>   scikit-learn 1.6: HistGradientBoosting takes pandas categories as categories (categorical_features="from_dtype") (scikit-learn 1.6 reference, HistGradientBoostingClassifier, categorical_features)
>   scikit-learn 1.6: NMF takes the number of components from a custom start (n_components="auto") (scikit-learn 1.6 reference, NMF, n_components)
>
> the rest
> name  change   from    to      imported  required by
> rich  changed  13.0.0  14.0.0            scikit-learn
> code at each start of Python: not known of `numpy`, whose wheels were not read here
$ lockstitch diff uv.lock HEAD HEAD:uv.lock uv.lock@HEAD  # exits 1
> 4 environments
> as most are in all that can change results: HEAD, HEAD:uv.lock, uv.lock@HEAD
> odd one out: uv.lock, in 3 things
>
> what can change results
> name           most                                       others
> scikit-learn   1.5.2 (HEAD, HEAD:uv.lock, uv.lock@HEAD)   1.6.1 (uv.lock)
> numpy          1.26.4 (HEAD, HEAD:uv.lock, uv.lock@HEAD)  1.26.4, other files (uv.lock)
> threadpoolctl  3.5.0 (HEAD, HEAD:uv.lock, uv.lock@HEAD)   3.6.0 (uv.lock)
>
> known changes of results between these versions
>   scikit-learn 1.6: HistGradientBoosting takes pandas categories as categories (categorical_features="from_dtype") (scikit-learn 1.6 reference, HistGradientBoostingClassifier, categorical_features)
>   scikit-learn 1.6: NMF takes the number of components from a custom start (n_components="auto") (scikit-learn 1.6 reference, NMF, n_components)
>
> and 1 difference not known to change results (--all)
$ lockstitch diff uv.lock uv.lock uv.lock
> no difference
$ lockstitch diff uv.lock uv.lock
> no difference
$ lockstitch diff HEAD HEAD:uv.lock
> no difference
$ lockstitch diff uv.lock nowhere  # exits 2
> error: `nowhere` is no file, no folder and no git revision
> hint: name an environment, a lock, an image or a git revision; --help lists the forms

-- pyproject.toml --
[project]
name = "churn"
version = "0.1.0"

[dependency-groups]
train = ["scikit-learn"]

[tool.lockstitch]
python = "3.11"

[tool.lockstitch.images.train]
groups = ["train"]
command = ["python", "train.py"]
-- uv.lock --
version = 1

[[package]]
name = "churn"
version = "0.1.0"
source = { virtual = "." }
[package.dev-dependencies]
train = [{ name = "scikit-learn" }]

[[package]]
name = "scikit-learn"
version = "1.5.2"
source = { registry = "https://index.example.test/simple" }
dependencies = [{ name = "numpy" }, { name = "threadpoolctl" }, { name = "rich" }]

[[package]]
name = "numpy"
version = "1.26.4"
source = { registry = "https://index.example.test/simple" }
wheels = [{ url = "https://index.example.test/numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl", hash = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }]

[[package]]
name = "threadpoolctl"
version = "3.5.0"
source = { registry = "https://index.example.test/simple" }

[[package]]
name = "rich"
version = "13.0.0"
source = { registry = "https://index.example.test/simple" }
-- later.lock --
version = 1

[[package]]
name = "rich"
version = "14.0.0"
source = { registry = "https://index.example.test/simple" }

[[package]]
name = "churn"
version = "0.1.0"
source = { virtual = "." }
[package.dev-dependencies]
train = [{ name = "scikit-learn" }]

[[package]]
name = "numpy"
version = "1.26.4"
source = { registry = "https://index.example.test/simple" }
wheels = [{ url = "https://index.example.test/numpy-1.26.4-cp311-cp311-manylinux_2_28_x86_64.whl", hash = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" }]

[[package]]
name = "scikit-learn"
version = "1.6.1"
source = { registry = "https://index.example.test/simple" }
dependencies = [{ name = "rich" }, { name = "numpy" }, { name = "threadpoolctl" }]

[[package]]
name = "threadpoolctl"
version = "3.6.0"
source = { registry = "https://index.example.test/simple" }
