"""Text to words and operators, with quotes and expansions kept apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from simulator.machines.shell.syntax import (
    Arithmetic,
    Literal,
    Part,
    ShellSyntaxError,
    Substitution,
    Variable,
    Word,
)

OPERATORS = ("&&", "||", ";;", ">>", ">&", "<<-", "<<", ">|", "&>", ";", "|", "&", "(", ")", "<", ">", "\n")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?$!#@*-]")
BRACED = re.compile(r"(#?)([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?$!#@*-])(:[-=+?]|[-=+?]|%%|##|%|#|)")


@dataclass(frozen=True, slots=True)
class Token:
    """A word, or an operator; `fd` is a number written right before a redirection."""

    operator: str = ""
    word: Word | None = None
    fd: int | None = None


def tokens(text: str) -> list[Token]:
    return Lexer(text).run()


class Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._tokens: list[Token] = []
        self._heredocs: list[tuple[int, Word, bool]] = []

    def run(self) -> list[Token]:
        while self._skip_blanks():
            if operator := self._operator():
                self._tokens.append(Token(operator))
                if operator == "\n":
                    self._read_heredocs()
                continue
            self._word_token()
        self._read_heredocs()
        return self._tokens

    def _skip_blanks(self) -> bool:
        while self.at < len(self.text):
            if self.text.startswith("\\\n", self.at):
                self.at += 2
            elif self.text[self.at] in " \t\r":
                self.at += 1
            elif self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return True
        return False

    def _operator(self) -> str:
        found = next((operator for operator in OPERATORS if self.text.startswith(operator, self.at)), "")
        self.at += len(found)
        return found

    def _word_token(self) -> None:
        fd = re.compile(r"([0-9])(?=[<>])").match(self.text, self.at)
        if fd:
            self.at += 1
            self._tokens.append(Token(self._operator(), fd=int(fd[1])))
            return
        word = self.word("")
        self._tokens.append(Token(word=word))
        if len(self._tokens) > 1 and (before := self._tokens[-2].operator) in ("<<", "<<-"):
            self._heredocs.append((len(self._tokens) - 1, word, before == "<<-"))

    def word(self, stop: str) -> Word:
        """One word from here on, to a blank or operator; or to the character `stop` when that is given."""
        parts: list[Part] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if stop and char == stop:
                break
            if not stop and (char in " \t\r\n;|&()<>"):
                break
            parts.extend(self._part(char))
        return Word(tuple(parts))

    def _part(self, char: str) -> list[Part]:
        self.at += 1
        if char == "'":
            return [Literal(self._until("'"), quoted=True)]
        if char == '"':
            return self.double_quoted()
        if char == "\\":
            self.at += 1
            escaped = self.text[self.at - 1 : self.at]
            return [] if escaped == "\n" else [Literal(escaped, quoted=True)]
        if char in "$`":
            return [self._expansion(char, quoted=False)]
        return [Literal(char, quoted=False)]

    def double_quoted(self) -> list[Part]:
        parts: list[Part] = [Literal("", quoted=True)]
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char == '"':
                return parts
            if char == "\\" and self.text[self.at : self.at + 1] in ('"', "\\", "$", "`", "\n"):
                self.at += 1
                parts.append(Literal(self.text[self.at - 1].replace("\n", ""), quoted=True))
            elif char in "$`":
                parts.append(self._expansion(char, quoted=True))
            else:
                parts.append(Literal(char, quoted=True))
        raise ShellSyntaxError("Unterminated quoted string")

    def _expansion(self, char: str, *, quoted: bool) -> Part:
        if char == "`":
            return Substitution(self._until("`"), quoted)
        if self.text.startswith("((", self.at):
            return Arithmetic(self._balanced().removeprefix("(").removesuffix(")"))
        if self.text.startswith("(", self.at):
            return Substitution(self._balanced(), quoted)
        if self.text.startswith("{", self.at):
            return self._braced(quoted=quoted)
        if name := VARIABLE.match(self.text, self.at):
            self.at = name.end()
            return Variable(name[0], quoted)
        return Literal("$", quoted)

    def _braced(self, *, quoted: bool) -> Variable:
        found = BRACED.match(self.text, self.at + 1)
        if not found:
            raise ShellSyntaxError("Bad substitution")
        self.at = found.end()
        word = self.word("}")
        if self.text[self.at : self.at + 1] != "}" or (word.parts and not found[3]):
            raise ShellSyntaxError("Bad substitution")
        self.at += 1
        return Variable(found[2], quoted, "length" if found[1] else found[3], word)

    def _balanced(self) -> str:
        """What stands between the bracket here and its partner; quotes inside are respected."""
        start, depth = self.at + 1, 0
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char == "'":
                self._until("'")
            elif char == '"':
                self.double_quoted()
            elif char == "\\":
                self.at += 1
            depth += (char == "(") - (char == ")")
            if depth == 0:
                return self.text[start : self.at - 1]
        raise ShellSyntaxError("end of file unexpected")

    def _until(self, end: str) -> str:
        found = self.text.find(end, self.at)
        if found < 0:
            raise ShellSyntaxError("Unterminated quoted string")
        content, self.at = self.text[self.at : found], found + 1
        return content

    def _read_heredocs(self) -> None:
        for index, end, strip in self._heredocs:
            marker = "".join(part.text for part in end.parts if isinstance(part, Literal))
            quoted = any(isinstance(part, Literal) and part.quoted for part in end.parts)
            content = self._heredoc(marker, strip=strip)
            parts = (Literal(content, quoted=True),) if quoted else tuple(_expanding(content))
            self._tokens[index] = Token(word=Word(parts))
        self._heredocs = []

    def _heredoc(self, marker: str, *, strip: bool) -> str:
        content = ""
        while self.at < len(self.text):
            end = self.text.find("\n", self.at)
            end = len(self.text) if end < 0 else end
            line = self.text[self.at : end]
            self.at = end + 1
            line = line.lstrip("\t") if strip else line
            if line == marker:
                break
            content += line + "\n"
        return content


def _expanding(content: str) -> list[Part]:
    """A here-document's text: everything in it stands as if between double quotes, but quotes are plain characters."""
    lexer = Lexer(content.replace('"', '\\"') + '"')
    return lexer.double_quoted()
