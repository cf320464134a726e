// Requests to the server that the page comes from.

/** Requests that are tried before the page says that the server is busy. */
const ATTEMPTS = 6;
/** Milliseconds until an answer must be there. */
const TIMEOUT = 60_000;
/** Where a tab keeps its token. */
const TOKEN = "fittingroom-token";

/** What the server, or the way to it, says against a request: a sentence, and its HTTP status. */
export class Refusal extends Error {
  /** @param {number} status - 0 where there is no answer */
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

/** Whether a token is sent. */
export function hasToken() {
  return sessionStorage.getItem(TOKEN) !== null;
}

/** The token that is sent with each request from now on; none if it is empty. */
export function useToken(token) {
  if (token) sessionStorage.setItem(TOKEN, token);
  else sessionStorage.removeItem(TOKEN);
}

/**
 * The JSON that the server answers. A busy one is asked again.
 *
 * @param {string} path - with its parameters
 * @param {object} options - `body`: a Blob to be posted; `signal`: ends it; `onBusy`: called before
 *   each pause for a busy server
 * @throws {Refusal} with the server's own sentence, if it has one
 */
export async function request(path, { body = null, signal = null, onBusy = () => {} } = {}) {
  for (let attempt = 1; ; attempt++) {
    const response = await send(path, body, signal);
    if (response.ok) return response.json();
    if (response.status !== 503 || attempt === ATTEMPTS) {
      throw new Refusal(response.status, await sentenceOf(response));
    }
    onBusy();
    await pause(1000 * (Number(response.headers.get("retry-after")) || 1), signal);
  }
}

async function send(path, body, signal) {
  const token = sessionStorage.getItem(TOKEN);
  const timeout = AbortSignal.timeout(TIMEOUT);
  try {
    return await fetch(path, {
      method: body === null ? "GET" : "POST",
      body,
      headers: token ? { authorization: `Bearer ${token}` } : {},
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      credentials: "omit",
      redirect: "error",
      cache: "no-store",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(
      0,
      timeout.aborted ? "The server took too long to answer." : "The server doesn’t answer. Does it still run?",
    );
  }
}

async function sentenceOf(response) {
  let text;
  try {
    text = (await response.json()).error;
  } catch {
    text = `the server answered with status ${response.status}.`; // something between it and us
  }
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", end);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", end);
  });
}
