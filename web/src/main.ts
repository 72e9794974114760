import { mount } from "svelte";
import "./app.css";
import App from "./App.svelte";
import { keepFocus } from "./lib/focus";

const target = document.getElementById("app");
keepFocus();
if (target) mount(App, { target });
