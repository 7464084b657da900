// Uses the types as a client does; compiled by a test, and never run.
import type { LaunchGameMutation, LaunchGameMutationVariables, LaunchProgressSubscription } from "../../../docs/clients/operations.js";

const order: LaunchGameMutationVariables = { input: { console: "SWITCH", gameId: "mario-odyssey" } };
// @ts-expect-error a console that there is not
const wrong: LaunchGameMutationVariables = { input: { console: "ATARI", gameId: "pong" } };

export function words({ launchGame }: LaunchGameMutation): string {
  const [refusal] = launchGame.errors;
  return refusal ? refusal.message : (launchGame.launch?.id ?? "");
}

export function host({ launchProgress }: LaunchProgressSubscription): string | null {
  // @ts-expect-error a launch may have no machine yet
  launchProgress.launch.vm.stream;
  return launchProgress.launch.vm?.stream?.host ?? null;
}

export { order, wrong };
