/**
 * `npm exec tsx tools/kills.ts [NAME ...]`: kills commands at every operation by which they change the disk, calls them
 * again each time, and says what went wrong. It takes the commands whose names contain one of the given words, or all.
 */
import { campaign } from './kills/campaign.js'
import { scenarios } from './kills/scenarios.js'

// Bound here, because a command that is killed leaves `process.stdout.write` replaced.
const print = process.stdout.write.bind(process.stdout)
const words = process.argv.slice(2)
let faults = 0
for (const scenario of scenarios) {
  if (words.length > 0 && !words.some(word => scenario.name.includes(word))) continue
  const { name, kills, lost, stuck, litter } = await campaign(scenario)
  print(`${name}: ${kills} kills, ${lost.length} lost, ${stuck.length} stuck, ${litter.length} litter\n`)
  for (const [kind, cases] of Object.entries({ lost, stuck, litter })) {
    faults += cases.length
    for (const each of cases) print(`  ${kind}: ${each}\n`)
  }
}
process.exitCode = faults > 0 ? 1 : 0
