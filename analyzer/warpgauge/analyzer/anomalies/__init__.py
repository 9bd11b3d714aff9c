"""What behaves unlike its peers or unlike a sound machine."""
