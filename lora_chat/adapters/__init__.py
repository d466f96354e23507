"""What can be worn: LoRA adapters as plain PEFT folders, found, checked and installed without running any code."""
