A model that MLflow saved becomes a project that serves it; what is no model is an error.

$ lockstitch new service --from-model model --dry-run
> would write service/.gitattributes
> would write service/.gitignore
> would write service/.python-version
> would write service/README.md
> would write service/model/MLmodel
> would write service/model/requirements.txt
> would write service/pyproject.toml
> would write service/request.json
$ lockstitch new service --from-model model/requirements.txt  # exits 1
> error: there is no folder `model/requirements.txt`
> hint: name a folder, or one of models, runs, mlflow-artifacts:/…
$ lockstitch new service --from-model models:/churn/3  # exits 1
> error: `models:/churn/3` is of a tracking server, and none is known
> hint: export MLFLOW_TRACKING_URI=http://HOST:5000
$ lockstitch new service --from-model model --server torch  # exits 2
> error: `torch` is not a server
> hint: there is: mlflow, onnx
$ lockstitch new service --from-model model --python 3.7  # exits 2
> error: `3.7` is not a Python of a base (they have 3.8, 3.9, 3.10, 3.11, 3.12, 3.13, 3.14)
> hint: the same command with --python 3.8
$ sed -i s/3.11.7/3.7.17/ model/MLmodel
$ lockstitch new service --from-model model  # exits 1
> error: the model was trained with Python 3.7.17 (`MLmodel`), and bases have 3.8, 3.9, 3.10, 3.11, 3.12, 3.13, 3.14
> hint: try it on another one: add --python 3.8
$ ls
> model

-- model/MLmodel --
flavors:
  python_function: {loader_module: mlflow.sklearn, python_version: 3.11.7}
mlflow_version: 3.17.2
signature:
  inputs: '[{"type": "double", "name": "amount"}]'

-- model/requirements.txt --
mlflow==3.17.2
scikit-learn==1.9.1
