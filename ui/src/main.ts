import { mount } from "svelte";
import App from "./App.svelte";
import { clock } from "./lib/clock.svelte";
import { keys } from "./lib/keys.svelte";
import { router } from "./lib/router.svelte";
import { theme } from "./lib/theme.svelte";
import "./styles/tokens.css";
import "./styles/base.css";

theme.start();
router.start();
keys.start();
clock.start();

const target = document.getElementById("app");
if (target) mount(App, { target });
