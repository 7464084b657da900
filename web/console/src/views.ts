// The views of the page. README.md says how to add one.

import type { ComponentType } from "preact";
import type { Role } from "./graphql/generated";
import type { Route } from "./router";
import type { TextKey } from "./strings";

export interface Viewer {
  id: string;
  role: Role;
}

export interface ViewProps {
  viewer: Viewer;
  route: Route;
}

export interface View {
  /** The first segment of its address. */
  path: string;
  title: TextKey;
  /** The roles that see it. */
  roles: readonly Role[];
  load: () => Promise<{ default: ComponentType<ViewProps> }>;
}

const OPERATORS: readonly Role[] = ["OPERATOR"];
const EVERYONE: readonly Role[] = ["PLAYER", "OPERATOR", "SERVICE"];

export const VIEWS: readonly View[] = [
  { path: "play", title: "play.title", roles: EVERYONE, load: () => import("./views/play") },
  { path: "saves", title: "saves.title", roles: EVERYONE, load: () => import("./views/saves") },
  { path: "map", title: "map.title", roles: OPERATORS, load: () => import("./views/map") },
  { path: "machines", title: "machines.title", roles: OPERATORS, load: () => import("./views/machines") },
  { path: "money", title: "money.title", roles: OPERATORS, load: () => import("./views/money") },
  { path: "health", title: "health.title", roles: OPERATORS, load: () => import("./views/health") },
];

export function viewsOf(role: Role): readonly View[] {
  return VIEWS.filter((view) => view.roles.includes(role));
}
