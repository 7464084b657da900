import type { ViewProps } from "../../views";
import { t } from "../../strings";
import { Chooser } from "./chooser";
import "./play.css";

export default function Play({ route }: ViewProps) {
  return (
    <>
      <h1>{t("play.title")}</h1>
      <Chooser route={route} />
    </>
  );
}
