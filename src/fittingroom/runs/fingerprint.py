"""What tells an estimator of the caller's own from every other: its state and its code.

The key of a run must cover all that decides its result. For a model of the catalogue that is its
parameters. The code of an own one may change between two runs, and its state may lie anywhere, so
one hash goes over everything that can be reached from it: what a copy of it would hold, and of code
the instructions, constants and defaults of every function, method and class with all that these
name. Code is hashed as it was compiled: that is what runs, also where it was typed in and no file
holds it, or where the file was changed since. Libraries are believed by name and version.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import secrets
import types
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn
from torch.utils.hooks import RemovableHandle

from fittingroom.errors import FittingroomError
from fittingroom.runs.installed import known_by_name, version_of
from fittingroom.runs.spec import NOT_FOUND_AGAIN, plain
from fittingroom.training.recipe import Recipe

_ATOMS = (type(None), bool, int, float, complex, str, bytes, type(...))
_DESCRIPTORS = (
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
)
_CACHED = type(functools.lru_cache(lambda: None))
#: Attributes that decide nothing, or are in a class twice, or in no fixed order.
_INCIDENTAL = {
    *("__module__", "__doc__", "__dict__", "__weakref__", "__slotnames__", "_abc_impl"),
    *("__firstlineno__", "__static_attributes__", "__orig_bases__", "__parameters__"),
    *("__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"),
    *("__conditional_annotations__", "__abstractmethods__", "_torchdynamo_wrapper_id"),
}
#: Dicts of a module by numbers that count all hooks that there ever were in this process.
_HOOKS = {name for name in vars(nn.Module()) if "_hooks" in name}


class UnknowableError(FittingroomError):
    """Something is reached from a model that can't be told from another."""


def parameters_of(own: BaseEstimator) -> dict[str, Any]:
    """What a run of an estimator of the caller's own is asked: what a page shows, and a hash.

    Two have equal ones exactly if they have the same state and run the same code. Where that can't
    be known they are equal to none, and say why.
    """
    try:
        words = {
            name: _in_words(value)
            for name, value in sorted(own.get_params().items())
            if name.split("__")[-1] != "random_state"
        }
        shown = {name: value for name, value in words.items() if value is not None}
        return {"class": type(own).__name__, **shown, "fingerprint": fingerprint(own)}
    except Exception as error:  # a stranger's objects may raise anything when they are looked at
        return unlike_any(own, error)


def unlike_any(own: BaseEstimator, reason: Exception) -> dict[str, Any]:
    """What a run is asked that none will be asked again."""
    said = str(reason) if isinstance(reason, UnknowableError) else repr(reason)
    return {"class": type(own).__name__, NOT_FOUND_AGAIN: said, "call": secrets.token_hex(8)}


def fingerprint(thing: Any) -> str:
    """Hex digits that are equal exactly for things of the same state that run the same code.

    Raises
    ------
    UnknowableError
        When something is reached whose state or code can't be read: a lock, an open file, code
        that was compiled from another language and belongs to no library.
    """
    walk = _Walk()
    walk.add(thing, ())
    return walk.digest


def _in_words(value: Any) -> Any:
    """A parameter as every process would show it, None where there are no such words."""
    if isinstance(value, BaseEstimator | nn.Module):
        return type(value).__name__
    return plain(value) if type(value) in (bool, int, float, str, Recipe) else None


class _Walk:
    """A hash of all that is reached from a thing. `where` are the names that led to a value.

    What is reached again is hashed as the number that it has, so that one thing under two names
    differs from two equal things: weights may be tied.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._seen: dict[int, tuple[int, Any]] = {}  # keeps all alive, so that no id comes twice

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()[:32]

    def add(self, value: Any, where: tuple[str, ...]) -> None:
        if type(value) in _ATOMS:
            self._put(type(value).__name__, repr(value))
        elif type(value) is tuple:
            self._add_items(value, where)
        elif isinstance(value, types.CodeType):
            self._add_code(value, where)
        elif type(value) in (set, frozenset):  # in another order in every process
            self._put(type(value).__name__, *sorted(fingerprint(item) for item in value))
        elif id(value) in self._seen:
            self._put("again", str(self._seen[id(value)][0]))
        else:
            self._seen[id(value)] = len(self._seen), value
            self._add_new(value, where)

    def _add_new(self, value: Any, where: tuple[str, ...]) -> None:
        if (name := known_by_name(value)) is not None:
            self._put("named", name)
        elif isinstance(value, type):
            self._add_class(value, where)
        elif isinstance(value, torch.Tensor):
            self._add_tensor(value, where)
        elif type(value) in (np.ndarray, np.memmap) and not value.dtype.hasobject:
            self._put("array", str(value.dtype), str(value.shape))
            self._put_bytes(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
        elif type(value) in (list, dict, types.MappingProxyType):
            self._add_items(value, where)
        elif isinstance(value, types.ModuleType):
            contents = {k: v for k, v in vars(value).items() if not k.startswith("__")}
            self._add_named("module", contents, where)
        elif isinstance(value, types.FunctionType):
            self._add_function(value, where)
        elif isinstance(value, _DESCRIPTORS):
            self._add_descriptor(value, where)
        elif (inside := _wrapped(value)) is not None:
            self._put(type(value).__name__)
            self.add(inside, where)
        elif isinstance(value, types.BuiltinFunctionType):
            raise _unknowable(value, where)
        else:
            self._add_object(value, where)

    def _put(self, *words: str) -> None:
        for word in words:
            self._put_bytes(word.encode("utf8", "surrogatepass"))

    def _put_bytes(self, data: Any) -> None:
        self._hash.update(memoryview(data).nbytes.to_bytes(8, "little"))
        self._hash.update(data)

    def _add_items(self, value: Any, where: tuple[str, ...]) -> None:
        self._put(type(value).__name__, str(len(value)))
        if not isinstance(value, Mapping):
            for item in value:
                self.add(item, where)
            return
        for key, item in value.items():
            self.add(key, where)
            self.add(item, (*where, key) if isinstance(key, str) else where)

    def _add_named(self, kind: str, contents: Mapping[str, Any], where: tuple[str, ...]) -> None:
        """Things by name, in whatever order they stand."""
        names = sorted(contents.keys() - _INCIDENTAL)
        self._put(kind, str(len(names)))
        for name in names:
            self._put(name)
            self.add(contents[name], (*where, name))

    def _add_tensor(self, value: torch.Tensor, where: tuple[str, ...]) -> None:
        self.add((type(value), vars(value)), where)
        self._put(str(value.dtype), str(value.requires_grad), str(value.device))
        if nn.parameter.is_lazy(value):
            return
        try:
            numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            self._put(str(value.shape), str(value.stride()))
        except (RuntimeError, TypeError) as error:  # sparse, quantized
            raise _unknowable(value, where) from error
        self._put_bytes(numbers.data)

    def _add_class(self, value: type, where: tuple[str, ...]) -> None:
        where = where if value.__name__ in where else (*where, value.__name__)
        self._put("class", value.__qualname__)
        self.add((type(value), value.__bases__), where)
        self._add_named("members", vars(value), where)

    def _add_function(self, function: types.FunctionType, where: tuple[str, ...]) -> None:
        where = where if function.__name__ in where else (*where, function.__name__)
        code, names = function.__code__, function.__globals__
        module = str(names.get("__name__"))
        if (version := version_of(module)) is not None:  # one that a library made
            self._put("function", module, code.co_qualname, version)
        else:
            self.add(code, where)
            self._add_named("globals", dict(_named_by(code, names, where)), where)
        self.add((function.__defaults__, function.__kwdefaults__), where)
        self._add_named("attributes", vars(function), where)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                inside = cell.cell_contents
            except ValueError:
                inside = "nothing yet"
            self.add(inside, (*where, name))

    def _add_code(self, code: types.CodeType, where: tuple[str, ...]) -> None:
        counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
        self._put("code", code.co_name)
        self.add((code.co_code, code.co_exceptiontable, counts, code.co_consts), where)
        self.add((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars), where)

    def _add_descriptor(self, value: Any, where: tuple[str, ...]) -> None:
        """A method of a class that was compiled from another language, or a name in `__slots__`."""
        owner = value.__objclass__
        slot = isinstance(value, types.MemberDescriptorType)
        if not slot and version_of(owner.__module__) is None:
            raise _unknowable(value, where)
        self._put("descriptor", owner.__qualname__, value.__name__)

    def _add_object(self, value: Any, where: tuple[str, ...]) -> None:
        """What a copy of it would hold."""
        where = where or (type(value).__name__,)
        if isinstance(value, BaseEstimator | nn.Module):
            state = {k: [*v.values()] if k in _HOOKS and v else v for k, v in vars(value).items()}
            self.add(type(value), where)
            self._add_named("attributes", state, where)
            return
        try:
            parts: Any = value.__reduce_ex__(4)
        except Exception as error:
            raise _unknowable(value, where) from error
        if isinstance(parts, str):  # one of its kind
            if version_of(type(value).__module__) is None:
                raise _unknowable(value, where)
            self._put("named", type(value).__qualname__, parts)
            return
        build, arguments, state, items, pairs = (*parts, None, None, None)[:5]
        self.add((build, arguments), where)
        if type(state) is dict and all(isinstance(name, str) for name in state):
            self._add_named("attributes", state, where)
        else:
            self.add(state, where)
        self.add((tuple(items or ()), tuple(pairs or ())), where)


def _wrapped(value: Any) -> tuple[Any, ...] | None:
    """What decides what a wrapper of functions does, None where `value` is none."""
    if isinstance(value, types.MethodType):
        return value.__self__, value.__func__
    if isinstance(value, classmethod | staticmethod):
        return (value.__func__,)
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel
    if isinstance(value, functools.cached_property):  # which holds a lock besides
        return (value.func,)
    if isinstance(value, _CACHED):
        return (value.__wrapped__,)
    if isinstance(value, weakref.ref):
        return (value(),)
    if isinstance(value, RemovableHandle):  # the number of a hook
        return ()
    if type(value).__module__.startswith("numba.") and hasattr(value, "py_func"):
        return value.py_func, value.targetoptions  # each has a number of its own besides
    if isinstance(value, types.BuiltinFunctionType):
        owner = value.__self__
        if owner is not None and not isinstance(owner, types.ModuleType):
            return owner, value.__name__
    return None


def _named_by(
    code: types.CodeType, names: Mapping[str, Any], where: tuple[str, ...]
) -> Iterator[tuple[str, Any]]:
    """The globals that code names, and what stands behind each.

    Of a module of the caller's own it is the attribute that is named next, or the whole of it.
    Raises UnknowableError for code that imports such a module when it runs.
    """
    name, value = "", None
    for step in dis.get_instructions(code):
        attribute = step.argval if step.opname in ("LOAD_ATTR", "LOAD_METHOD") else None
        if attribute and _is_own_module(value) and hasattr(value, attribute):
            name, value = f"{name}.{attribute}", getattr(value, attribute)
            continue
        if name:
            yield name, value
        name, value = "", None
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval in names:
            name, value = step.argval, names[step.argval]
        elif step.opname == "IMPORT_NAME" and version_of(step.argval) is None:
            raise UnknowableError(
                f"{'.'.join(where)} imports {step.argval or 'a module'} when it runs; what is "
                "imported at the top of its file is looked into"
            )
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _named_by(constant, names, where)


def _is_own_module(value: Any) -> bool:
    return isinstance(value, types.ModuleType) and version_of(value.__name__) is None


def _unknowable(value: Any, where: tuple[str, ...]) -> UnknowableError:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return UnknowableError(f"{'.'.join(where)} holds a {kind}, which can't be told from another")
