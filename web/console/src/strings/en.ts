import { health } from "./en/health";
import { machines } from "./en/machines";
import { map } from "./en/map";
import { money } from "./en/money";
import { play } from "./en/play";
import { saves } from "./en/saves";
import { shell } from "./en/shell";

export const en = { ...shell, ...health, ...machines, ...map, ...money, ...play, ...saves } as const;
