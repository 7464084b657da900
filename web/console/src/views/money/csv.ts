// Files that the viewer downloads.

import { ENDPOINT, failureOfResponse } from "../../graphql/client";
import { Failure } from "../../graphql/errors";
import { credentialHeaders } from "../../session";

/** Downloads the costs of a month, such as 2026-11, as the service exports them. */
export async function downloadMonth(month: string): Promise<void> {
  const address = ENDPOINT.replace(/\/graphql$/, `/exports/costs?month=${month}`);
  const response = await fetch(address, { headers: credentialHeaders(), credentials: "omit" }).catch(() => undefined);
  if (!response) throw new Failure("NETWORK", "");
  if (!response.ok) throw await failureOfResponse(response);
  offer(await response.blob(), `costs-${month}.csv`);
}

export function downloadRows(rows: readonly (readonly string[])[], name: string): void {
  const text = rows.map((row) => row.map(cell).join(",")).join("\r\n");
  offer(new Blob([text, "\r\n"], { type: "text/csv" }), name);
}

/** Returns a cell that no spreadsheet takes for a formula. */
function cell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

function offer(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
