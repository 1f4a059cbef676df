"""The uplift model: which customers an action changes, learnt from campaigns with random arms."""
