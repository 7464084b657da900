import { render } from "preact";
import { App } from "./app";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/parts.css";
import { applyTheme } from "./theme";

applyTheme();
const root = document.getElementById("console");
if (root) render(<App />, root);
