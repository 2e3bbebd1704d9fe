"""Local Hugging Face models as the provider ``hf``."""
