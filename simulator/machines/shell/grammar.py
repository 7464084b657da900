"""Words and operators to commands."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from simulator.machines.shell.lexer import Token, tokens
from simulator.machines.shell.syntax import (
    AndOr,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Literal,
    Loop,
    Pipeline,
    Redirect,
    Script,
    ShellSyntaxError,
    Simple,
    Word,
)

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
REDIRECTIONS = {">": 1, ">>": 1, ">|": 1, ">&": 1, "&>": 1, "<": 0, "<<": 0, "<<-": 0}
CLOSING = ("then", "elif", "else", "fi", "do", "done", "esac", "}")
END = Token()


def parse(text: str) -> Script:
    """Raises ShellSyntaxError for what is no command line of ours."""
    parser = Parser(tokens(text))
    script = parser.script(())
    parser.expect_end()
    return script


class Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0

    def script(self, stops: Collection[str]) -> Script:
        statements: list[AndOr] = []
        self._skip_newlines()
        while self._more(stops):
            statements.append(self._and_or())
            if not self._take(";", "\n", "&"):
                break
            self._skip_newlines()
        return Script(tuple(statements))

    def expect_end(self) -> None:
        if self._next is not END:
            raise self._unexpected()

    @property
    def _next(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else END

    def _keyword(self) -> str:
        return (self._next.word.bare() or "") if self._next.word else ""

    def _more(self, stops: Collection[str]) -> bool:
        ended = self._next is END or self._next.operator in (")", ";;")
        return not ended and self._keyword() not in stops and self._keyword() not in CLOSING

    def _take(self, *operators: str) -> str:
        operator = self._next.operator
        if operator and operator in operators:
            self._at += 1
            return operator
        return ""

    def _need(self, *wanted: str) -> str:
        """Step over one of these keywords or operators and say which it was."""
        found = self._next.operator or self._keyword()
        if found not in wanted:
            raise self._unexpected()
        self._at += 1
        return found

    def _skip_newlines(self) -> None:
        while self._take("\n", ";"):
            pass

    def _unexpected(self) -> ShellSyntaxError:
        if self._next is END:
            return ShellSyntaxError("Syntax error: end of file unexpected")
        shown = self._next.operator.replace("\n", "newline") or self._keyword() or "word"
        return ShellSyntaxError(f'Syntax error: "{shown}" unexpected')

    def _and_or(self) -> AndOr:
        first = self._pipeline()
        rest: list[tuple[str, Pipeline]] = []
        while operator := self._take("&&", "||"):
            self._skip_newlines()
            rest.append((operator, self._pipeline()))
        return AndOr(first, tuple(rest), background=self._next.operator == "&")

    def _pipeline(self) -> Pipeline:
        negated = self._keyword() == "!"
        self._at += negated
        commands = [self._command()]
        while self._take("|"):
            self._skip_newlines()
            commands.append(self._command())
        return Pipeline(tuple(commands), negated)

    def _command(self) -> Command:
        compound: dict[str, Callable[[], Command]] = {
            "if": self._if,
            "while": self._loop,
            "until": self._loop,
            "for": self._for,
            "case": self._case,
            "{": self._braces,
        }
        if self._next.operator == "(":
            return self._subshell()
        if rule := compound.get(self._keyword()):
            return rule()
        return self._function() or self._simple()

    def _if(self) -> If:
        branches: list[tuple[Script, Script]] = []
        otherwise: Script | None = None
        word = self._need("if")
        while word in ("if", "elif"):
            condition = self.script(("then",))
            self._need("then")
            branches.append((condition, self.script(())))
            word = self._need("elif", "else", "fi")
        if word == "else":
            otherwise = self.script(())
            self._need("fi")
        return If(tuple(branches), otherwise, self._redirects())

    def _loop(self) -> Loop:
        until = self._need("while", "until") == "until"
        condition = self.script(("do",))
        return Loop(condition, self._do(), until, self._redirects())

    def _for(self) -> For:
        self._need("for")
        name = self._keyword()
        self._at += 1
        words: list[Word] = []
        if self._keyword() == "in":
            self._at += 1
            while self._next.word:
                words.append(self._next.word)
                self._at += 1
        self._skip_newlines()
        return For(name, tuple(words), self._do(), self._redirects())

    def _do(self) -> Script:
        self._need("do")
        body = self.script(())
        self._need("done")
        return body

    def _case(self) -> Case:
        self._need("case")
        subject = self._word()
        self._need("in")
        self._skip_newlines()
        branches: list[tuple[tuple[Word, ...], Script]] = []
        while self._keyword() != "esac":
            self._take("(")
            patterns = [self._word()]
            while self._take("|"):
                patterns.append(self._word())
            self._need(")")
            branches.append((tuple(patterns), self.script(())))
            self._take(";;")
            self._skip_newlines()
        self._need("esac")
        return Case(subject, tuple(branches), self._redirects())

    def _braces(self) -> Group:
        self._need("{")
        body = self.script(("}",))
        self._need("}")
        return Group(body, subshell=False, redirects=self._redirects())

    def _subshell(self) -> Group:
        self._need("(")
        body = self.script(())
        self._need(")")
        return Group(body, subshell=True, redirects=self._redirects())

    def _function(self) -> Function | None:
        following = [token.operator for token in self._tokens[self._at + 1 : self._at + 3]]
        if following != ["(", ")"] or not NAME.fullmatch(self._keyword()):
            return None
        name = self._keyword()
        self._at += 3
        self._skip_newlines()
        return Function(name, self._command())

    def _word(self) -> Word:
        if not self._next.word:
            raise self._unexpected()
        self._at += 1
        return self._tokens[self._at - 1].word or Word(())

    def _simple(self) -> Simple:
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirects: list[Redirect] = []
        while True:
            if self._next.operator in REDIRECTIONS:
                redirects.extend(self._redirect())
            elif not self._next.word:
                break
            elif not words and (assignment := _assignment(self._next.word)):
                assignments.append(assignment)
                self._at += 1
            else:
                words.append(self._word())
        if not (assignments or words or redirects):
            raise self._unexpected()
        return Simple(tuple(assignments), tuple(words), tuple(redirects))

    def _redirects(self) -> tuple[Redirect, ...]:
        found: list[Redirect] = []
        while self._next.operator in REDIRECTIONS:
            found.extend(self._redirect())
        return tuple(found)

    def _redirect(self) -> list[Redirect]:
        token = self._next
        self._at += 1
        fd = REDIRECTIONS[token.operator] if token.fd is None else token.fd
        target = self._word()
        if token.operator == "&>":
            return [Redirect(1, ">", target), Redirect(2, ">&", Word((Literal("1", quoted=False),)))]
        return [Redirect(fd, token.operator.replace("|", "").replace("-", ""), target)]


def _assignment(word: Word) -> tuple[str, Word] | None:
    """`NAME=value` as name and value; a literal holds one character, so the name is collected up to the `=`."""
    name = ""
    for index, part in enumerate(word.parts):
        if not isinstance(part, Literal) or part.quoted:
            return None
        if part.text == "=":
            return (name, Word(word.parts[index + 1 :])) if NAME.fullmatch(name) else None
        name += part.text
    return None
