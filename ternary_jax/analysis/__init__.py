"""Analysis of a training from its workdir, as data, as text and as figures. It imports no model family."""
