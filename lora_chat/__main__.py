"""``python -m lora_chat`` is the ``lora-chat`` command."""

from lora_chat.cli import program

if __name__ == "__main__":
    program()
