"""``python -m lora_chat`` is the ``lora-chat`` command. Owns what Ctrl+C does before the command line is read."""


def run() -> None:
    """Hand over to the command line; interrupted while it is still being imported, it says so as it does later."""
    try:
        from lora_chat.cli import program

        program()
    except KeyboardInterrupt:
        import os

        os.write(2, b"lora-chat: Interrupted.\n")
        raise SystemExit(130) from None


if __name__ == "__main__":
    run()
