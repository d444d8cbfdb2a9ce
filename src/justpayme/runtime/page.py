"""Just enough of a browser to press buttons on our own pages: forms, fields, choices."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Choice:
    """A radio button, a checkbox or an option of a list, with the text that a person reads."""

    name: str
    value: str
    label: str = ""
    checked: bool = False


@dataclass
class Form:
    """A form as a browser would send it."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    choices: list[Choice] = field(default_factory=list)
    buttons: list[Choice] = field(default_factory=list)

    def choose(self, label: str) -> bool:
        """Tick only the choice whose text holds `label`; False when there is none."""
        wanted = next((one for one in self.choices if one.name and label in one.label), None)
        if wanted is None:
            return False
        for one in self.choices:
            if one.name == wanted.name:
                one.checked = one is wanted
        return True

    def data(self, button: str = "") -> dict[str, list[str]]:
        """What is sent when the button with this text is pressed (or the form's only one)."""
        sent = {name: [value] for name, value in self.fields.items()}
        pressed = [one for one in self.buttons if button and button in one.label]
        for one in [*(one for one in self.choices if one.checked), *pressed[:1]]:
            if one.name:
                sent.setdefault(one.name, []).append(one.value)
        return sent


def forms(html: str) -> list[Form]:
    """Every form of a page, in order."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    return parser.forms


class _Parser(HTMLParser):
    """Collects forms and matches the texts of labels to their choices."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[Form] = []
        self.form: Form | None = None
        self.labels_for: dict[str, str] = {}
        self.ids: dict[str, Choice] = {}
        self.select = ""
        self.open: list[tuple[str, Choice | None, str]] = []
        """Labels, buttons and options whose text is being read: tag, choice, `for`."""
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            method = values.get("method", "get").lower()
            self.form = Form(values.get("action", ""), method)
            self.forms.append(self.form)
        elif tag == "label":
            self._open(tag, None, values.get("for", ""))
        elif self.form is not None:
            self._control(self.form, tag, values)

    def _control(self, form: Form, tag: str, values: dict[str, str]) -> None:
        kind = values.get("type", "submit" if tag == "button" else "text").lower()
        name, value = values.get("name", ""), values.get("value", "")
        if tag == "select":
            self.select = name
        elif tag == "option":
            option = Choice(self.select, value, checked="selected" in values)
            form.choices.append(option)
            self._open(tag, option)
        elif tag == "button" and kind == "submit":
            button = Choice(name, value)
            form.buttons.append(button)
            self._open(tag, button)
        elif tag == "input" and kind in {"radio", "checkbox"}:
            self._box(form, Choice(name, value or "on", checked="checked" in values), values)
        elif tag == "input" and kind == "submit":
            form.buttons.append(Choice(name, value, label=value))
        elif tag in {"input", "textarea"} and name:
            form.fields[name] = value

    def _box(self, form: Form, box: Choice, values: dict[str, str]) -> None:
        form.choices.append(box)
        if "id" in values:
            self.ids[values["id"]] = box
        for index, (tag, choice, target) in enumerate(self.open):
            if tag == "label" and choice is None:
                self.open[index] = (tag, box, target)

    def _open(self, tag: str, choice: Choice | None, target: str = "") -> None:
        self.open.append((tag, choice, target))
        self.texts.append("")

    def handle_data(self, data: str) -> None:
        self.texts = [text + data for text in self.texts]

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.form = None
        if self.open and self.open[-1][0] == tag:
            _, choice, target = self.open.pop()
            text = " ".join(self.texts.pop().split())
            choice = choice or self.ids.get(target)
            if choice is not None:
                choice.label = text
            elif target:
                self.labels_for[target] = text

    def close(self) -> None:
        super().close()
        for target, choice in self._unlabelled():
            choice.label = self.labels_for.get(target, "")

    def _unlabelled(self) -> Iterator[tuple[str, Choice]]:
        return ((target, choice) for target, choice in self.ids.items() if not choice.label)
