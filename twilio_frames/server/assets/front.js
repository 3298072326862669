// The page from which one is called.

import "./dial.js";

const { hasSoftphone } = document.body.dataset;
document.getElementById("softphone").hidden = hasSoftphone !== "true";
document.getElementById("to").focus();
