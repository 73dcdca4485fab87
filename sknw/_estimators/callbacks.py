"""What a fit tells scikit-learn's callbacks: one task for the global search, one for each iteration of a descent."""


class Progress:
    """The tasks of one fit.

    Parameters
    ----------
    estimator : NadarayaWatsonRegressor
    X, y : array-like
        As given to `fit`.
    sample_weight : ndarray
    prepare : callable
        Gives the attributes of an estimator that is fitted with a bandwidth, as a dict.
    """

    def __init__(self, estimator, X, y, sample_weight, prepare):
        self.estimator, self.prepare = estimator, prepare
        self.data = {"X": X, "y": y, "metadata": {"sample_weight": sample_weight}}
        # How many iterations there will be nobody knows.
        self.context = estimator._init_callback_context(max_subtasks=None)
        self.context.call_on_fit_task_begin(estimator=estimator, **self.data)

    def task(self, name, bandwidth):
        """Tell of a task that has ended with a bandwidth; returns whether a callback asks to stop."""
        task = self.context.subcontext(task_name=name)
        task.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        return task.call_on_fit_task_end(
            estimator=self.estimator, **self.data, reconstruction_attributes=lambda: self.prepare(bandwidth)
        )

    def end(self):
        """Tell that the fit has ended."""
        self.context.call_on_fit_task_end(estimator=self.estimator, **self.data, reconstruction_attributes={})
