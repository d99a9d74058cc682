"""Analysis of a training from its workdir: findings as data, as text, as figures. It imports no model family."""
