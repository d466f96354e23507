"""What each command of the chat does, one function each. Owns their words; the table is ``commands``."""

from __future__ import annotations

from lora_chat.adapters.mixture import read_shares
from lora_chat.adapters.registry import Adapter
from lora_chat.chat.conversation import Rating
from lora_chat.chat.search import search as search_history
from lora_chat.errors import RefusedError, UsageError
from lora_chat.models.answering import Served
from lora_chat.session import Wearing
from lora_chat.sitting.columns import choose_columns
from lora_chat.sitting.offer import offer_new, offer_next
from lora_chat.sitting.opening import context_facts, system_prompts
from lora_chat.sitting.returning import unfinished
from lora_chat.sitting.sitting import Sitting
from lora_chat.sitting.training import Training
from lora_chat.text import clean_line
from lora_chat.training.forgetting import forget_everywhere
from lora_chat.training.shelf import Listed, discard_job, list_jobs


def adapter_list(sitting: Sitting, rest: str) -> None:
    """Show what is installed."""
    sitting.face.show_adapters(sitting.services.adapters())


def adapter_use(sitting: Sitting, name: str) -> None:
    """Wear one, from the next answer on; one that was made for another base is asked about once."""
    _wear(sitting, sitting.services.wear(name))


def adapter_mix(sitting: Sitting, shares: str) -> None:
    """Wear several at once, each times its share."""
    _wear(sitting, sitting.services.mix(read_shares(shares)))


def _wear(sitting: Sitting, wearing: Wearing) -> None:
    if not sitting.agrees_to(wearing):
        sitting.face.note("Nothing was changed.")
        return
    sitting.wear(wearing)
    sitting.face.note(f"Wearing {sitting.worn} from the next answer on.")


def adapter_off(sitting: Sitting, rest: str) -> None:
    """Take it off."""
    sitting.wear(None)
    sitting.face.note("Wearing nothing: the base answers.")


def adapter_scale(sitting: Sitting, scale: str) -> None:
    """Wear what is worn more or less strongly."""
    if sitting.wearing is None:
        raise UsageError("No adapter is worn: /adapter use NAME, then, wearing one, /adapter scale 0.8.")
    _wear(sitting, sitting.services.scaled(sitting.wearing, scale))


def adapter_info(sitting: Sitting, name: str) -> None:
    """What is known of an adapter, by default of the one worn."""
    if not name and sitting.wearing is None:
        raise UsageError("No adapter is worn: write /adapter info NAME, or, wearing one, /adapter info.")
    if not name and sitting.wearing is not None and sitting.wearing.mixture:
        sitting.face.details(sitting.worn, mixture_facts(sitting.wearing))
        return
    adapter = sitting.services.adapters().get(name) if name or sitting.wearing is None else sitting.wearing.adapter
    sitting.face.details(f"{adapter.name} {adapter.version}", adapter_facts(adapter))


def adapter_facts(adapter: Adapter) -> list[tuple[str, str]]:
    """An adapter's own words and figures, for whoever shows them."""
    weights = adapter.manifest.weights.sha256
    facts = [
        ("says", adapter.description or "nothing about itself"),
        ("base", adapter.base_model or "not said"),
        ("rank", f"{adapter.rank} on {', '.join(adapter.targets)}"),
        ("size", f"{adapter.parameters:,} parameters, {adapter.bytes:,} bytes"),
        ("wants", f"temperature {adapter.temperature:g}" if adapter.temperature is not None else ""),
        ("system prompt", adapter.system_prompt),
        ("licence", adapter.manifest.license),
        ("sha256", weights),
        ("from", "shipped with lora-chat" if adapter.origin == "bundled" else str(adapter.path)),
    ]
    return [(name, clean_line(fact, 300)) for name, fact in facts if fact]


def mixture_facts(wearing: Wearing) -> list[tuple[str, str]]:
    """What is in a mixture, and how it is worn."""
    shares = [(f"×{share:g}", f"{adapter.name}, rank {adapter.rank}") for adapter, share in wearing.mixture]
    wants = [("wants", f"temperature {wearing.temperature:g}")] if wearing.temperature is not None else []
    prompt = [("system prompt", clean_line(wearing.system_prompt, 300))] if wearing.system_prompt else []
    return [*shares, *wants, *prompt]


def train(sitting: Sitting, name: str) -> None:
    """Show what would be learnt from the history."""
    if len(name.split()) > 1:
        raise UsageError("A name is one word: /train from-history pirate.")
    offer_new(sitting, name)


def train_continue(sitting: Sitting, name: str) -> None:
    """Show what the next version of an adapter would learn."""
    offer_next(sitting, name)


def train_status(sitting: Sitting, rest: str) -> None:
    """How far it is and who waits; what became of the last one; what was begun before."""
    training, waiting = sitting.training, [each.name for each in sitting.trainings.waiting]
    if training is not None:
        sitting.face.show_training(training)
        if waiting:
            sitting.face.note(f"Waiting for {training.name}: {', '.join(waiting)}.")
        return
    if not (rows := unfinished(sitting.services.paths.training)):
        raise RefusedError(_NONE)
    sitting.face.details("Trainings", rows)


def train_pause(sitting: Sitting, rest: str) -> None:
    """Let it wait; one that runs without a window is stopped, so that it can go on in this one."""
    alone = [job for job in list_jobs(sitting.services.paths.training) if job.runs_alone]
    if sitting.is_training or not alone:
        _running(sitting).pause()
        sitting.face.note("The training waits: /train resume lets it go on.")
        return
    for job in alone:
        sitting.services.stop_alone(job.state.by)
    names = ", ".join(job.name for job in alone)
    sitting.face.note(f"{names} is told to stop where it is: /train resume then lets it go on here.")


def train_resume(sitting: Sitting, rest: str) -> None:
    """Let it go on; where none runs, those that were stopped before."""
    if sitting.is_training:
        _running(sitting).resume()
        sitting.face.note("The training goes on.")
        return
    found = _stopped(sitting)
    if not found:
        raise RefusedError(_NONE)
    here = [job for job in found if job.base == sitting.base_here().name]
    for job in here or found[:1]:
        sitting.go_on_with(job)
    names = ", ".join(job.name for job in here)
    others = [f"{job.name} of {job.base}" for job in found if job not in here]
    waits = f" {', '.join(others)} waits until /model use names that base." if others else ""
    sitting.face.note(f"Going on with the training of {names}: /train status.{waits}")


def train_cancel(sitting: Sitting, name: str) -> None:
    """Stop it and delete what it would have learnt; by its name also one that waits, or was stopped before."""
    training = sitting.training
    if sitting.is_training and training is not None and name in ("", training.name):
        training.cancel()
    elif name and sitting.trainings.drop(name):
        sitting.face.note(f"{name} no longer waits; nothing changed.")
    elif found := [job for job in _stopped(sitting) if name in ("", job.name)]:
        for job in found:
            if sitting.face.confirm(f"Delete what the stopped training of {job.name} would have learnt?", loses=True):
                discard_job(job)
                sitting.face.note(f"The training of {job.name} is deleted; nothing changed.")
    else:
        raise RefusedError(_not_here(sitting, name))


def _not_here(sitting: Sitting, name: str) -> str:
    """Why there is nothing to cancel."""
    for job in list_jobs(sitting.services.paths.training):
        if job.is_unfinished and name in ("", job.name):
            first = "/train pause stops it first" if job.runs_alone else "it is for that one to cancel"
            return f"{job.name} belongs to a program without this window: {first}."
    return f"No training is called {clean_line(name, 64)}: /train status lists them." if name else _NONE


_NONE = "No training is running: /train from-history NAME starts one."


def train_never(sitting: Sitting, rest: str) -> None:
    """Keep the open conversation out of every training."""
    _open(sitting)
    sitting.update(never_train=True)
    assert sitting.conversation is not None
    kept = forget_everywhere(sitting.conversation.id, sitting.services.paths)
    sitting.face.note(f"Nothing of this conversation is ever trained on (/train allow takes it back); {kept}.")


def train_allow(sitting: Sitting, rest: str) -> None:
    """Let what is vouched for in the open conversation be learnt again."""
    _open(sitting)
    sitting.update(never_train=False)
    sitting.face.note("What you vouch for in this conversation may be trained on.")


def _open(sitting: Sitting) -> None:
    if sitting.conversation is None:
        raise RefusedError("No conversation is open yet: write a message, or /open one.")


def _running(sitting: Sitting) -> Training:
    if sitting.training is None or not sitting.is_training:
        raise RefusedError(_NONE)
    return sitting.training


def _stopped(sitting: Sitting) -> list[Listed]:
    """Jobs that can go on, and are not of this sitting."""
    ours = {each.job for each in sitting.trainings.waiting}
    return [job for job in list_jobs(sitting.services.paths.training) if job.can_go_on and job.folder not in ours]


def rate(sitting: Sitting, rating: str) -> None:
    """Judge the last answer."""
    if rating not in list(Rating):
        raise UsageError("Write /rate good or /rate bad: it judges the last answer.")
    sitting.rate(sitting.last_answer(), Rating(rating))
    sitting.face.note(f"Rated {rating}.")


def edit(sitting: Sitting, text: str) -> None:
    """Put the answer that was wanted in the last one's place."""
    answer = sitting.last_answer()
    if not text:
        sitting.face.write_answer(answer)
        return
    sitting.edit(answer, text)
    sitting.face.note("Kept as the answer you wanted; /train from-history learns from it.")


def retry(sitting: Sitting, rest: str) -> None:
    """Answer the last question again."""
    sitting.retry()


def compare(sitting: Sitting, words: str) -> None:
    """Have the last question answered in columns."""
    comparison = choose_columns(sitting, words)
    if comparison is None:
        sitting.face.note("Nothing was compared.")
    else:
        sitting.face.show_columns(comparison)


def new(sitting: Sitting, rest: str) -> None:
    """Begin a new conversation."""
    sitting.new()


def open_conversation(sitting: Sitting, id: str) -> None:
    """Go on with a saved one."""
    if id:
        sitting.open(id)
    else:
        sitting.face.choose_conversation()


def search(sitting: Sitting, text: str) -> None:
    """Where ``text`` was said, newest first."""
    sitting.face.found(text, search_history(sitting.store, text))


def rename(sitting: Sitting, title: str) -> None:
    """Give the open conversation a title."""
    _open(sitting)
    sitting.update(title=title)
    sitting.face.note(f"It is called {clean_line(title, 60)} now.")


def system(sitting: Sitting, text: str) -> None:
    """Show what the open conversation is told before it begins, or set it; ``none`` leaves it to others.

    The newest word holds: what is set, or ``none``, also takes the place of the system prompt of a preset.
    """
    if not text:
        sitting.face.details("System prompt", system_prompts(sitting))
        return
    sitting.refresh()
    replaced = sitting.conversation is not None and bool(sitting.conversation.preset_system)
    whose = f", and that of {sitting.preset or 'the preset'} no longer holds" if replaced else ""
    if text.lower() == "none":
        sitting.update(system="")
        sitting.face.note(f"The system prompt is left to the adapter and the settings{whose}.")
    else:
        sitting.update(system=text)
        sitting.face.note(f"The system prompt is set{whose}.")


def context(sitting: Sitting, rest: str) -> None:
    """How full the context is."""
    sitting.face.details("Context", context_facts(sitting))


def theme(sitting: Sitting, name: str) -> None:
    """Use other colours, now and from now on."""
    from lora_chat.config import THEMES, save_settings

    if name not in THEMES:
        raise UsageError(f"Write /theme and one of {', '.join(THEMES)}.")
    save_settings(sitting.services.paths.config, theme=name)
    sitting.face.theme(name)


def tour(sitting: Sitting, rest: str) -> None:
    """Through the whole loop."""
    if isinstance(sitting.answerer, Served):
        sitting.base_here()  # it trains
    sitting.face.tour()


def help(sitting: Sitting, rest: str) -> None:
    """Every command."""
    sitting.face.help()


def keys(sitting: Sitting, rest: str) -> None:
    """Every key."""
    sitting.face.keys()


def quit(sitting: Sitting, rest: str) -> None:
    """Leave."""
    sitting.face.leave()
