// node classify_in_node.js PAGE CLASSIFIER FILE TYPE: the page's own code and network on a file, answers as JSON.
"use strict";
const fs = require("fs");
const [page, classifier, file, type] = process.argv.slice(2);
const { Network, classifyFile } = require(classifier);
const html = fs.readFileSync(page, "utf8");
const facts = JSON.parse(/const FACTS = (\{.*\});/.exec(html)[1]);
const code = Buffer.from(/atob\("([^"]+)"\)/.exec(html)[1], "base64");

(async () => {
  const network = await Network.open(code, facts), rows = [];
  const answer = await classifyFile(network, new Blob([fs.readFileSync(file)]), type, (more) => rows.push(...more));
  console.log(JSON.stringify({ rows: rows.map((row) => row || null), answer, labels: facts.labels }));
})().catch((error) => { console.log(JSON.stringify({ error: error.message })); });
