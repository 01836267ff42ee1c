"""scikit-learn: a score at the end, plots of the package, a report as a dict."""

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report
from sklearn.model_selection import cross_val_score, train_test_split

import wandb

wandb.init()
features, labels = load_iris(return_X_y=True)
model = LogisticRegression(C=wandb.config.x, max_iter=500)
scores = cross_val_score(model, features, labels, cv=3)
train_x, test_x, train_y, test_y = train_test_split(features, labels, random_state=0)
model.fit(train_x, train_y)
found = model.predict(test_x)
wandb.sklearn.plot_classifier(
    model, train_x, test_x, train_y, test_y, found, model.predict_proba(test_x), ["a", "b", "c"]
)
wandb.sklearn.plot_learning_curve(model, features, labels)
wandb.log({"report": classification_report(test_y, found, output_dict=True)})
wandb.log({"loss": 1 - scores.mean()})
