import type { ViewProps } from "../../views";
import type { Variables } from "../../graphql/client";
import { useQuery } from "../../graphql/hooks";
import { t } from "../../strings";
import { Chooser } from "./chooser";
import { LaunchView } from "./launch";
import { Sessions } from "./sessions";
import "./play.css";

export default function Play({ viewer, route }: ViewProps) {
  const [, part, id] = route.path;
  if (part === "launch" && id) return <LaunchView key={id} id={id} />;
  return <Start viewer={viewer} route={route} />;
}

const PRESENT: Partial<Variables<"Sessions">> = {
  launchStatus: ["QUEUED", "RUNNING", "CANCELLING"],
  vmStatus: ["RUNNING", "STARTING", "STOPPING", "STOPPED"],
};

function Start({ viewer, route }: ViewProps) {
  const sessions = useQuery("Sessions", { userId: viewer.id, ...PRESENT }, { everySeconds: 15 });
  return (
    <>
      <h1>{t("play.title")}</h1>
      <div class="stack">
        <Sessions sessions={sessions.data} />
        <Chooser route={route} machines={sessions.data?.vms.edges.map((edge) => edge.node) ?? []} />
      </div>
    </>
  );
}
