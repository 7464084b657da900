import type { VMStatus } from "../../graphql/generated";
import { t } from "../../strings";

/** Returns a place in words. */
export function placeOf(location: { city: string | null; country: string | null }): string {
  return [location.city, location.country].filter(Boolean).join(", ") || t("play.unknownPlace");
}

/** Returns a readable title: the id of a game is its file's name in small letters with hyphens. */
export function titleOf(gameId: string | null): string | undefined {
  if (gameId === null) return undefined;
  return gameId.replace(/-+/g, " ").replace(/(^|\s)\p{L}/gu, (letter) => letter.toUpperCase());
}

export function toneOf(status: VMStatus): string {
  if (status === "RUNNING") return "good";
  if (status === "FAILED" || status === "LOST") return "bad";
  return status === "STOPPED" || status === "DELETED" ? "" : "accent";
}
