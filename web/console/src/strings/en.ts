import { machines } from "./en/machines";
import { play } from "./en/play";
import { saves } from "./en/saves";
import { shell } from "./en/shell";

export const en = { ...shell, ...machines, ...play, ...saves } as const;
