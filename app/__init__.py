"""The HTTP service: routes by resource, problem documents, events, downloads; and the verbs that run it."""
