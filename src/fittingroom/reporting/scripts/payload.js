// What the page's element "data" holds, with the arrays that `kinds` names unpacked; null without.
export function readPayload(kinds) {
  const source = document.getElementById("data");
  if (!source) return null;
  const parsed = JSON.parse(source.textContent);
  for (const [name, Kind] of Object.entries(kinds)) {
    const bytes = Uint8Array.from(atob(parsed[name]), (character) => character.charCodeAt(0));
    parsed[name] = new Kind(bytes.buffer);
  }
  return parsed;
}
