import { play } from "./en/play";
import { shell } from "./en/shell";

export const en = { ...shell, ...play } as const;
