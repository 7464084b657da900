"""Documents that clients may name by their SHA-256 instead of sending them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    NameNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    Visitor,
    parse,
    print_ast,
    visit,
)

FOLDER: Final = Path(__file__).parents[2] / "graphql" / "operations"
_MOST_TOKENS: Final = 2_000
_LEARNED_CHARACTERS: Final = 512 * 1024


class TrustedDocuments:
    """Documents by the hash of their text. The set does not change while the service runs.

    Clients print documents anew, and most add `__typename` to every selection. The printed forms have hashes of their
    own, and `is_trusted` recognizes any text that differs in nothing else.
    """

    def __init__(self, texts: Iterable[str] = (), names: Mapping[str, str] | None = None) -> None:
        """`names` maps texts to names."""
        self._texts: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._plain: set[str] = set()
        for text in texts:
            self._register(text, (names or {}).get(text))

    @classmethod
    def of_folder(cls, folder: Path = FOLDER) -> TrustedDocuments:
        """Load every file in graphql/operations/."""
        names = {file.read_text(encoding="utf-8"): file.stem for file in sorted(folder.glob("*.graphql"))}
        return cls(names, names)

    def get(self, sha256: str) -> str | None:
        return self._texts.get(sha256.lower())

    def name_of(self, text: str) -> str | None:
        """Return the name of a trusted document, or None for any other text."""
        return self._names.get(text)

    def is_trusted(self, text: str) -> bool:
        """Return whether a text is a trusted document, apart from its layout and `__typename` in its selections."""
        if sha256_of(text) in self._texts:
            return True
        try:
            document = parse(text, no_location=True, max_tokens=_MOST_TOKENS)
        except (GraphQLError, RecursionError):
            return False
        return _without_typename(document) in self._plain

    def _register(self, text: str, name: str | None) -> None:
        self._plain.add(_without_typename(parse(text, no_location=True)))
        for form in (text, printed(text), printed(text, typenames=True)):
            self._texts[sha256_of(form)] = form
            if name is not None:
                self._names[form] = name


class LearnedDocuments:
    """Documents that clients sent together with their hash, so that they need to send only the hash from then on.

    Known as automatic persisted queries. Only the most recently used ones are kept, up to a number of characters.
    """

    def __init__(self, max_characters: int = _LEARNED_CHARACTERS) -> None:
        self._max_characters = max_characters
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._characters = 0

    def get(self, sha256: str) -> str | None:
        found = self._texts.get(sha256.lower())
        if found is not None:
            self._texts.move_to_end(sha256.lower())
        return found

    def add(self, sha256: str, text: str) -> None:
        """Keep a text whose hash was checked."""
        if sha256.lower() in self._texts or len(text) > self._max_characters:
            return
        self._texts[sha256.lower()] = text
        self._characters += len(text)
        while self._characters > self._max_characters:
            _, forgotten = self._texts.popitem(last=False)
            self._characters -= len(forgotten)


class _AddTypename(Visitor):
    """Adds `__typename` to every selection below the operation's own, as Apollo's and urql's caches do."""

    def enter_selection_set(self, node: SelectionSetNode, _key: Any, parent: Any, *_: Any) -> SelectionSetNode | None:
        if isinstance(parent, OperationDefinitionNode) or any(_is_typename(each) for each in node.selections):
            return None
        return SelectionSetNode(selections=(*node.selections, FieldNode(name=NameNode(value="__typename"))))


class _RemoveTypename(Visitor):
    def enter_field(self, node: FieldNode, *_: Any) -> Any:
        return self.REMOVE if _is_typename(node) else None


def _is_typename(node: Node) -> bool:
    """Return whether a client may have added this: `__typename` without an alias or directives."""
    return (
        isinstance(node, FieldNode) and node.name.value == "__typename" and node.alias is None and not node.directives
    )


def _without_typename(document: DocumentNode) -> str:
    return print_ast(visit(document, _RemoveTypename()))


def printed(text: str, *, typenames: bool = False) -> str:
    """Return a document as clients print it. `typenames`: with `__typename` in every selection, as caches need it."""
    document = parse(text, no_location=True)
    return print_ast(visit(document, _AddTypename()) if typenames else document)


def text_of(name: str) -> str:
    """Return the text of an operation in graphql/operations/, by its file name without the extension."""
    return (FOLDER / f"{name}.graphql").read_text(encoding="utf-8")


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()
