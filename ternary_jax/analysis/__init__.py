"""What a training has come to, from its workdir: findings as data, as text, as figures. It knows no model family."""
