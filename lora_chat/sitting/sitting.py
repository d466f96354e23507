"""One sitting: the open conversation, what it wears, and a training beside it. Owns that state; never draws.

Every method changes the store or the state first and tells the face then. One thread at a time.
"""

from __future__ import annotations

from typing import Any

from lora_chat.adapters.registry import Adapter
from lora_chat.chat.conversation import Conversation, Message, Rating, Role, Status
from lora_chat.chat.removal import Removed, RemovedConversation, remove_conversation
from lora_chat.engine.protocol import Engine, Sampling
from lora_chat.errors import LoraChatError, NotFoundError, RefusedError, UsageError
from lora_chat.models.answering import Answerer
from lora_chat.models.installed import InstalledBase
from lora_chat.services import Services, known_answerer
from lora_chat.session import Wearing, choose_sampling
from lora_chat.sitting.face import Face
from lora_chat.sitting.looking_after import look_after, wear_again
from lora_chat.sitting.places import with_places
from lora_chat.sitting.plan import Plan
from lora_chat.sitting.prefill import Prefill
from lora_chat.sitting.queue import Queue
from lora_chat.sitting.sampling import begins_with, wishes
from lora_chat.sitting.standing import Standing, Standings
from lora_chat.sitting.swapping import held_here, told_of_another
from lora_chat.sitting.training import Training
from lora_chat.training.jobs import check_free, check_resumable
from lora_chat.training.shelf import Listed


class Sitting:
    """What the commands of the chat work on."""

    def __init__(
        self, services: Services, base: InstalledBase | None, face: Face, wearing: Wearing | None = None
    ) -> None:
        """``base`` is of this machine; None where it is not here, which an engine of a plugin does without."""
        self.services = services
        self.face = face
        self.store = services.store
        self.wearing = wearing
        self.conversation: Conversation | None = None
        self.pending: dict[str, Any] = {}
        """Sampling settings of the conversation that begins next."""
        self.trainings = Queue()
        self.removed: list[Removed | RemovedConversation] = []
        """What was deleted in this sitting and can come back, the last one last."""
        self._sit_on(base)
        self._ahead = Prefill(face.counted)

    def _sit_on(self, base: InstalledBase | None) -> None:
        self.base = base
        self.engine: Engine = self.services.engine_beside(base)
        self.session = self.services.session(self.engine, base)
        self._standings: Standings | None = None
        self.agreed: set[str] = set()
        """Adapters made for another base that the person wears on this one all the same, by their hash."""
        self.met: Answerer | None = None
        """Who answered when what is worn was last held against it: a server is asked after it was put on."""

    @property
    def answerer(self) -> Answerer:
        """Who answers, as far as that is known by now: the base, or a model on a server."""
        return known_answerer(self.engine, self.base)

    @property
    def standings(self) -> Standings:
        """How the adapters stand to whom answers."""
        who = self.answerer
        if self._standings is None or self._standings.who is not who:
            self._standings = Standings(self.services.index, who, self.services.paths)
        return self._standings

    def base_here(self) -> InstalledBase:
        """The base of this machine, which is trained and measured on. Raises as ``Services.base_here``."""
        if self.base is None:
            self.base = self.services.base_here()
        return self.base

    # Turns

    def say(self, text: str, instead_of: Message | None = None) -> None:
        """Have ``text`` answered, in the place of ``instead_of`` if any; the first message begins a conversation."""
        current = self._begun()
        self._ahead.stop()
        self.look_after_what_is_worn()
        wearing, sampling = self.wearing, self.sampling()
        send = self.session.send
        self.face.play(
            held_here(self, current, lambda cancel: send(current, text, wearing, sampling, cancel, instead_of))
        )

    def retry(self, answer: Message | None = None) -> None:
        """Answer the question of ``answer`` again, by default the last one; the old answer stays beside the new one.

        Raises:
            RefusedError: nothing was asked yet.
        """
        current = self.conversation
        if current is None:
            raise RefusedError("There is nothing to answer again: write a message first.")
        question = self.store.message(answer.parent) if answer is not None and answer.parent is not None else None
        self.look_after_what_is_worn()
        wearing, sampling = self.wearing, self.sampling()
        retry = self.session.retry
        self.face.play(held_here(self, current, lambda cancel: retry(current, wearing, sampling, cancel, question)))

    def prefill(self) -> None:
        """Have the engine read in the background what the next prompt begins with, as far as it has not yet."""
        conversation, wearing, sampling = self.conversation, self.wearing, self.sampling()
        self._ahead.want(lambda cancel, counted: self.session.prefill(conversation, wearing, sampling, cancel, counted))

    def sampling(self) -> Sampling:
        """How the next answer is drawn: the settings, what is worn, and the open conversation's own wishes."""
        return choose_sampling(self.session.config, self.wearing, **wishes(self))

    def branch(self) -> list[Message]:
        """The visible branch of the open conversation, oldest first."""
        return self.store.branch(self.conversation.id) if self.conversation is not None else []

    def branch_with_places(self) -> list[tuple[Message, int, int]]:
        """The same, each with its place among its alternatives and their number: (message, 2, 3)."""
        return with_places(self.store, self.branch())

    # Answers

    def last_answer(self) -> Message:
        """The visible branch's last answer.

        Raises:
            RefusedError: there is none.
        """
        found = [message for message in self.branch() if message.role is Role.ASSISTANT]
        if not found:
            raise RefusedError("There is no answer yet: write a message first.")
        return found[-1]

    def rate(self, answer: Message, rating: Rating | None) -> None:
        """Keep what the person thinks of an answer; None takes it back.

        Raises:
            RefusedError: it is still being written.
        """
        if self.store.message(answer.id).status is Status.STREAMING:
            raise RefusedError("That answer is still being written: wait for it or stop it, then rate it.")
        self.store.rate(answer.id, rating)
        self.face.changed()

    def edit(self, answer: Message, text: str) -> None:
        """Put the answer the person wanted in the place of ``answer``, which is kept beside it."""
        self.store.edit_answer(answer.id, text)
        self.refresh()
        self.face.changed()
        self.prefill()

    def show_sibling(self, answer: Message, step: int) -> None:
        """Show the alternative ``step`` places on, with what followed it."""
        siblings = self.store.siblings(answer.id)
        place = [each.id for each in siblings].index(answer.id) + step
        if 0 <= place < len(siblings):
            leaf = self.store.newest_leaf(siblings[place].id)
            self.conversation = self.store.update_conversation(answer.conversation, head=leaf)
            self.face.changed()
            self.prefill()

    # Conversations

    def new(self) -> None:
        """Begin a new conversation, which wears what this one wore; it is kept from its first message on."""
        self.conversation = None
        self.face.opened()
        self.prefill()

    def open(self, id: str) -> None:
        """Go on with a saved conversation and what it wore; what it wore stays its choice where that is not installed.

        Raises:
            NotFoundError: there is none.
        """
        self.conversation = found = self.store.conversation(id)
        said = f"{told_of_another(self, found.model)} {wear_again(self, found.adapter, found.scale)}".strip()
        self.face.opened()
        if said:
            self.face.warn(said)
        self.prefill()

    def change_base(self, base: InstalledBase) -> None:
        """Have ``base`` answer from now on; the one until now is ended first, with all of its memory.

        What the open conversation chose to wear stays its choice where it does not fit, and nothing is worn meanwhile.
        """
        self.refresh()
        self._ahead.stop()
        self.face.base_leaves()
        self.engine.close()
        self._sit_on(base)
        self.face.base_changed(base)
        name, scale = (self.wearing.name, self.wearing.scale) if self.wearing else (None, 1.0)
        if (current := self.conversation) is not None:
            name, scale = current.adapter, current.scale
            self.conversation = self.store.update_conversation(current.id, model=base.name)
        said = wear_again(self, name, scale)
        self.face.changed()
        self.face.warn(said)

    def is_open(self, id: str) -> bool:
        """Whether that conversation is the open one."""
        return self.conversation is not None and self.conversation.id == id

    def begin_plainly(self) -> None:
        """Begin a new conversation that wears nothing."""
        self.wearing = None
        self.new()

    def delete(self, id: str) -> None:
        """Delete a conversation with all of its answers, which can come back. Raises as ``remove_conversation``."""
        self.removed.append(remove_conversation(self.store, id))
        self.put_down(id)

    def put_down(self, id: str) -> None:
        """Look anew at what is listed; where that conversation is open, a new one begins."""
        if self.is_open(id):
            self.conversation = None
            self.prefill()
        self.face.changed()

    def update(self, **changes: Any) -> None:
        """Change the open conversation's title or system prompt; begins one where none is open."""
        self.conversation = self.store.update_conversation(self._begun().id, **changes)
        self.face.changed()
        self.prefill()

    @property
    def preset(self) -> str:
        """The name of the one that the open conversation has; empty where it has none."""
        return self.conversation.preset if self.conversation is not None else ""

    def refresh(self) -> None:
        """Read the open conversation again, whose head moves with each message; one deleted elsewhere is closed."""
        if self.conversation is None:
            return
        try:
            self.conversation = self.store.conversation(self.conversation.id)
        except NotFoundError:
            refused = self.conversation.head is None or self.store.was_taken_back(self.conversation.id)
            self.conversation = None
            if not refused:
                self.face.note("This conversation was deleted elsewhere: what you write begins a new one.")

    def _begun(self) -> Conversation:
        self.refresh()
        if self.conversation is None:
            self.conversation = self.store.create_conversation(**begins_with(self))
            self.pending = {}
        return self.conversation

    # Wearing

    @property
    def worn(self) -> str:
        """What is worn, in words: ``shop ×0.5``; empty on the base alone."""
        if self.wearing is None:
            return ""
        scale = "" if self.wearing.scale == 1 else f" ×{self.wearing.scale:g}"
        return f"{self.wearing.name}{scale}"

    def wear(self, wearing: Wearing | None) -> None:
        """Change what this conversation wears from the next answer on."""
        self.wearing = wearing
        if self.conversation is not None:
            name, scale = (wearing.name, wearing.scale) if wearing else (None, 1.0)
            self.conversation = self.store.update_conversation(self.conversation.id, adapter=name, scale=scale)
        self.face.changed()
        self.prefill()

    def begin_with(self, wearing: Wearing | None) -> None:
        """Wear what the command line named, unless it cannot be: then the base answers."""
        try:
            self.wearing = self.checked(wearing) if wearing else None
        except LoraChatError as error:
            self.face.warn(f"{error} The base answers.")

    def meant(self, name: str, command: str) -> Adapter:
        """The adapter of that name, or without one the one that is worn.

        Raises:
            UsageError: none is worn, or several are: ``command`` wants a name.
            NotFoundError: there is none of that name.
        """
        if name:
            return self.services.adapters().get(name)
        if self.wearing is None or self.wearing.mixture:
            worn = "No adapter is worn" if self.wearing is None else "Several adapters are worn"
            raise UsageError(f"{worn}: write {command} NAME.")
        return self.wearing.adapter

    def take_off(self, name: str) -> bool:
        """Wear it no longer; whether it was worn."""
        if self.wearing is None or name not in [each.name for each in self.wearing.adapters]:
            return False
        self.wear(None)
        return True

    def agrees_to(self, wearing: Wearing) -> bool:
        """Whether it may be worn: one that was made for another base is asked about, once a sitting.

        Raises:
            RefusedError: it does not fit, or its bytes are not those that were installed.
        """
        return all(self._agrees_to(adapter) for adapter in wearing.adapters)

    def has_agreed_to(self, adapter: Adapter) -> None:
        """The person was asked about it just now."""
        self.agreed.add(adapter.sha256)

    def _agrees_to(self, adapter: Adapter) -> bool:
        standing = self._standing(adapter)
        if not standing.doubt or adapter.sha256 in self.agreed:
            return True
        if self.face.confirm(f"{adapter.name}: {standing.doubt} Wear it all the same?"):
            self.agreed.add(adapter.sha256)
        return adapter.sha256 in self.agreed

    def _standing(self, adapter: Adapter) -> Standing:
        standing = self.standings.of(adapter, changed=True)
        if standing.refusal:
            raise RefusedError(standing.refusal)
        return standing

    def checked(self, wearing: Wearing) -> Wearing:
        """``wearing``, whose files are looked at anew.

        Raises:
            RefusedError: one of it cannot be worn.
        """
        for adapter in wearing.adapters:
            self._standing(adapter)
        return wearing

    def look_after_what_is_worn(self) -> None:
        """Notice that what is worn was removed, damaged or replaced: the chat goes on, and says how."""
        look_after(self)

    # Training

    @property
    def is_training(self) -> bool:
        """Whether one runs or waits in this sitting."""
        return self.trainings.busy

    @property
    def training(self) -> Training | None:
        """The newest one, running or ended."""
        return self.trainings.newest

    def train(self, plan: Plan) -> None:
        """Begin what ``plan`` says, beside the chat, once those before it have ended.

        Raises:
            RefusedError: the name is taken meanwhile, the plan teaches nothing or is of another base than the one that
                answers by now, or the disk has no room for it.
        """
        if plan.base.name != self.base_here().name:
            raise RefusedError(f"{plan.name} was planned on {plan.base.name}, which is put away: plan it anew.")
        check_free(plan.name, self.services.paths, continued=plan.continued is not None)
        training = Training.of(plan, self.services, self.engine, self.face.trains)
        if not self.trainings.put(training):
            self.face.note(f"{plan.name} waits for its turn: /train status says for whom.")

    def go_on_with(self, job: Listed) -> None:
        """Begin a job that was stopped where it was, once those before it have ended.

        Raises:
            RefusedError: it is of another base, or what it learns was changed.
        """
        if job.base != self.base_here().name:
            raise RefusedError(f"{job.name} is trained on {job.base}: /model use {job.base} comes first.")
        check_resumable(job.folder)
        base = self.base_here()
        self.trainings.put(Training(job.name, job.folder, base, self.services, self.engine, self.face.trains))

    # The end

    def close(self) -> None:
        """Stop a training, which is kept, and what is read ahead; what was open is closed by the services."""
        self._ahead.stop()
        self.trainings.close()

    def finish_alone(self) -> None:
        """The same, but that the trainings go on in a process of their own, without this program."""
        self._ahead.stop()
        if kept := self.trainings.close():
            self.services.train_alone([training.job for training in kept])
