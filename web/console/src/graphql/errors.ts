import { t, type TextKey } from "../strings";

/** An entry of a mutation's `errors`. Fields after `path` are those of some of its types. */
export interface UserError {
  __typename?: string;
  code: string;
  message: string;
  path: string[] | null;
  status?: string;
  limit?: string;
  spent?: string;
}

const EXPLAINED: Record<string, TextKey> = {
  NETWORK: "error.network",
  UNAVAILABLE: "error.unavailable",
  INTERNAL: "error.internal",
  FORBIDDEN: "error.forbidden",
  PERSISTED_QUERY_NOT_FOUND: "error.outdated",
};

/** The request as a whole failed; `code` is stable. */
export class Failure extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly extensions: { field?: string; retryAfter?: number } = {},
  ) {
    super(message);
  }
}

/** A mutation was refused for reasons that the user can act on. */
export class Refused extends Error {
  constructor(readonly errors: UserError[]) {
    super(errors.map((error) => error.message).join("; "));
  }

  /** Returns the reasons that concern an input field. */
  about(field: string): string | undefined {
    return this.errors.find((error) => error.path?.at(-1) === field)?.message;
  }
}

/** Returns a sentence about an error for the user. */
export function sentenceOf(error: unknown): string {
  if (error instanceof Refused) return error.errors.map(({ message }) => sentence(message)).join(" ");
  if (!(error instanceof Failure)) return t("error.internal");
  const explained = EXPLAINED[error.code];
  const text = explained ? t(explained) : "";
  return [text, error.message && sentence(error.message)].filter(Boolean).join(" ");
}

function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
