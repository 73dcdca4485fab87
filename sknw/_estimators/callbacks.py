"""Tasks that a fit reports to scikit-learn's callbacks: the global search, then each iteration of a descent."""


class Progress:
    """The tasks of one fit.

    Parameters
    ----------
    estimator : KernelSmoother
    X, y : array-like
        As given to `fit`.
    sample_weight : ndarray
    attributes : callable
        Returns the attributes of an estimator fitted with a given bandwidth, as a dict.
    """

    def __init__(self, estimator, X, y, sample_weight, attributes):
        self.estimator, self.attributes = estimator, attributes
        self.data = {"X": X, "y": y, "metadata": {"sample_weight": sample_weight}}
        # The number of iterations is unknown beforehand.
        self.context = estimator._init_callback_context(max_subtasks=None)
        self.context.call_on_fit_task_begin(estimator=estimator, **self.data)

    def task(self, name, bandwidth):
        """Report a task that ended with a bandwidth; return whether a callback requests to stop."""
        task = self.context.subcontext(task_name=name)
        task.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        return task.call_on_fit_task_end(
            estimator=self.estimator, **self.data, reconstruction_attributes=lambda: self.attributes(bandwidth)
        )

    def end(self):
        """Report the end of the fit."""
        self.context.call_on_fit_task_end(estimator=self.estimator, **self.data, reconstruction_attributes={})
