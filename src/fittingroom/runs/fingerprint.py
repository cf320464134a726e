"""Fingerprint an estimator of the caller's own: hash its state and its code.

The key of a run must cover all that decides its result. For a model of the catalogue that is its
parameters. The caller's own code may change between two runs, and its state may be anywhere, so one
hash covers everything that can be reached from the estimator: what a copy of it would hold and, of
code, the instructions, constants and defaults of every function, method and class, with all that
these name. Code is hashed as it was compiled, since that is what runs, even if it was typed in
without a file or the file has changed since. Libraries are trusted by name and version.
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
from fittingroom.runs.spec import NOT_FOUND_AGAIN, to_plain
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
#: Attributes that decide nothing, occur twice in a class, or have no fixed order.
_INCIDENTAL = {
    *("__module__", "__doc__", "__dict__", "__weakref__", "__slotnames__", "_abc_impl"),
    *("__firstlineno__", "__static_attributes__", "__orig_bases__", "__parameters__"),
    *("__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"),
    *("__conditional_annotations__", "__abstractmethods__", "_torchdynamo_wrapper_id"),
}
#: Dicts of a module whose keys count all hooks ever made in this process.
_HOOKS = {name for name in vars(nn.Module()) if "_hooks" in name}


class UnknowableError(FittingroomError):
    """A model holds something that can't be told from another."""


def parameters_of(own: BaseEstimator) -> dict[str, Any]:
    """The parameters of a run of the caller's own estimator: those that a page shows, and a hash.

    Two estimators have equal ones exactly if they have the same state and run the same code. If
    that can't be known, they equal no others and say why.
    """
    try:
        values = {
            name: _display_value(value)
            for name, value in sorted(own.get_params().items())
            if name.split("__")[-1] != "random_state"
        }
        shown = {name: value for name, value in values.items() if value is not None}
        return {"class": type(own).__name__, **shown, "fingerprint": fingerprint(own)}
    except Exception as error:  # foreign objects may raise anything when inspected
        return unlike_any(own, error)


def unlike_any(own: BaseEstimator, reason: Exception) -> dict[str, Any]:
    """Parameters of a run that no other run will have."""
    why = str(reason) if isinstance(reason, UnknowableError) else repr(reason)
    return {"class": type(own).__name__, NOT_FOUND_AGAIN: why, "call": secrets.token_hex(8)}


def fingerprint(thing: Any) -> str:
    """Hex digits that are equal exactly for things of the same state that run the same code.

    Raises
    ------
    UnknowableError
        When something is reached whose state or code can't be read: a lock, an open file, code
        compiled from another language that belongs to no library.
    """
    walk = _Walk()
    walk.add(thing, ())
    return walk.digest


def _display_value(value: Any) -> Any:
    """A parameter as any process would show it, None if it can't be shown so."""
    if isinstance(value, BaseEstimator | nn.Module):
        return type(value).__name__
    return to_plain(value) if type(value) in (bool, int, float, str, Recipe) else None


class _Walk:
    """Hashes all that is reached from a thing. `where` are the names that led to a value.

    What is reached again is hashed as its number, so that one thing under two names differs from
    two equal things: weights may be tied.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._seen: dict[int, tuple[int, Any]] = {}  # keeps all alive, so that no id is reused

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
        elif type(value) in (set, frozenset):  # their order differs between processes
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
        elif (wrapped := _unwrap(value)) is not None:
            self._put(type(value).__name__)
            self.add(wrapped, where)
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
        """Add things by name, whatever their order."""
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
        if (version := version_of(module)) is not None:  # made by a library
            self._put("function", module, code.co_qualname, version)
        else:
            self.add(code, where)
            self._add_named("globals", dict(_named_globals(code, names, where)), where)
        self.add((function.__defaults__, function.__kwdefaults__), where)
        self._add_named("attributes", vars(function), where)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:
                content = "nothing yet"
            self.add(content, (*where, name))

    def _add_code(self, code: types.CodeType, where: tuple[str, ...]) -> None:
        counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
        self._put("code", code.co_name)
        self.add((code.co_code, code.co_exceptiontable, counts, code.co_consts), where)
        self.add((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars), where)

    def _add_descriptor(self, value: Any, where: tuple[str, ...]) -> None:
        """Add a method of a class compiled from another language, or a name in `__slots__`."""
        owner = value.__objclass__
        slot = isinstance(value, types.MemberDescriptorType)
        if not slot and version_of(owner.__module__) is None:
            raise _unknowable(value, where)
        self._put("descriptor", owner.__qualname__, value.__name__)

    def _add_object(self, value: Any, where: tuple[str, ...]) -> None:
        """Add what a copy of the object would hold."""
        where = where or (type(value).__name__,)
        if isinstance(value, BaseEstimator | nn.Module):
            state = {k: [*v.values()] if k in _HOOKS and v else v for k, v in vars(value).items()}
            self.add(type(value), where)
            self._add_named("attributes", state, where)
            return
        try:
            reduced: Any = value.__reduce_ex__(4)
        except Exception as error:
            raise _unknowable(value, where) from error
        if isinstance(reduced, str):  # a singleton
            if version_of(type(value).__module__) is None:
                raise _unknowable(value, where)
            self._put("named", type(value).__qualname__, reduced)
            return
        build, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        self.add((build, arguments), where)
        if type(state) is dict and all(isinstance(name, str) for name in state):
            self._add_named("attributes", state, where)
        else:
            self.add(state, where)
        self.add((tuple(items or ()), tuple(pairs or ())), where)


def _unwrap(value: Any) -> tuple[Any, ...] | None:
    """What decides the behaviour of a wrapper of functions, None if `value` isn't one."""
    if isinstance(value, types.MethodType):
        return value.__self__, value.__func__
    if isinstance(value, classmethod | staticmethod):
        return (value.__func__,)
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel
    if isinstance(value, functools.cached_property):  # which also holds a lock
        return (value.func,)
    if isinstance(value, _CACHED):
        return (value.__wrapped__,)
    if isinstance(value, weakref.ref):
        return (value(),)
    if isinstance(value, RemovableHandle):  # the number of a hook
        return ()
    if type(value).__module__.startswith("numba.") and hasattr(value, "py_func"):
        return value.py_func, value.targetoptions  # besides, each has a number of its own
    if isinstance(value, types.BuiltinFunctionType):
        owner = value.__self__
        if owner is not None and not isinstance(owner, types.ModuleType):
            return owner, value.__name__
    return None


def _named_globals(
    code: types.CodeType, names: Mapping[str, Any], where: tuple[str, ...]
) -> Iterator[tuple[str, Any]]:
    """The globals that code names, with their values.

    A module of the caller's own is replaced by the attribute that is named next, if any.
    Raises UnknowableError for code that imports such a module when it runs.
    """
    name, value = "", None
    for instruction in dis.get_instructions(code):
        attribute = (
            instruction.argval if instruction.opname in ("LOAD_ATTR", "LOAD_METHOD") else None
        )
        if attribute and _is_own_module(value) and hasattr(value, attribute):
            name, value = f"{name}.{attribute}", getattr(value, attribute)
            continue
        if name:
            yield name, value
        name, value = "", None
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and instruction.argval in names:
            name, value = instruction.argval, names[instruction.argval]
        elif instruction.opname == "IMPORT_NAME" and version_of(instruction.argval) is None:
            raise UnknowableError(
                f"{'.'.join(where)} imports {instruction.argval or 'a module'} when it runs; only "
                "what is imported at the top of its file is fingerprinted"
            )
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _named_globals(constant, names, where)


def _is_own_module(value: Any) -> bool:
    return isinstance(value, types.ModuleType) and version_of(value.__name__) is None


def _unknowable(value: Any, where: tuple[str, ...]) -> UnknowableError:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return UnknowableError(f"{'.'.join(where)} holds a {kind}, which can't be fingerprinted")
