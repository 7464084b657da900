import { machines } from "./en/machines";
import { money } from "./en/money";
import { play } from "./en/play";
import { saves } from "./en/saves";
import { shell } from "./en/shell";

export const en = { ...shell, ...machines, ...money, ...play, ...saves } as const;
