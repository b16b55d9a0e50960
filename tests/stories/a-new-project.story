A new project is named like its folder, and written into an empty one only.

$ lockstitch new 9lives  # exits 1
> error: `9lives` cannot name a project
> hint: start with a letter; letters, digits, and single - _ . between
$ lockstitch new churn --template chrun  # exits 2
> error: `chrun` is not a template
> hint: did you mean `churn`?
$ lockstitch new churn
> made `churn` with N files
> next: cd churn && lockstitch lock
> next: uv run python src/train.py  # writes the model, which the image serve needs to be built
> next: lockstitch build
> next: git init && uv run prek install
$ lockstitch new churn  # exits 1
> error: `churn` is there already and not empty
> hint: choose another name, or remove it
$ ls churn
> README.md
> data
> prek.toml
> pyproject.toml
> src
> tests
$ head -6 churn/pyproject.toml | tail -2
> [project]
> name = "churn"
$ mkdir empty
$ lockstitch new empty
> made `empty` with N files
> next: cd empty && lockstitch lock
> next: uv run python src/train.py  # writes the model, which the image serve needs to be built
> next: lockstitch build
> next: git init && uv run prek install
