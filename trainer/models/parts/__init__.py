"""What several networks share: the encoder and decoder, the dual path, the global norm, and checks of the configs."""
