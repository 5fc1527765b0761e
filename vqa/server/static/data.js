// A store's page: its charts are drawn once it has been counted.
import { drawAll } from "./chart.js";

document.getElementById("counts").addEventListener("renewed", (event) => drawAll(event.currentTarget));
