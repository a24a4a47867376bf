/** weft topology: the overlay as text, or for something that draws. */
import { type Command, Option } from 'commander';
import { upShape } from '../pages.ts';
import { fetchReach } from '../ping/page.ts';
import { addShow, fetchShape, type OnExit } from '../show.ts';
import { renderDot, renderMermaid } from '../topology/graph.ts';
import { topologyOf, topologyShape } from '../topology/model.ts';
import { renderSvg } from '../topology/svg.ts';
import { renderText } from '../topology/text.ts';

const RENDERERS = {
  text: renderText,
  mermaid: renderMermaid,
  svg: renderSvg,
  dot: renderDot,
} as const;
type Format = keyof typeof RENDERERS;

export function addTopology(program: Command, onExit: OnExit): void {
  let format: Format = 'text';
  const formats = Object.keys(RENDERERS);
  addShow(program, onExit, {
    name: 'topology',
    description: 'the overlay as a picture: nodes, subnets, links',
    options: (command) =>
      command
        .addOption(new Option('--format <format>', 'how').choices(formats).default('text'))
        .hook('preAction', (self) => {
          format = self.opts<{ format: Format }>().format;
        }),
    shape: topologyShape,
    answer: async ({ adminSocket }) => {
      const { backend, node } = await fetchShape(
        adminSocket,
        '/status',
        upShape.pick({ backend: true, node: true }),
      );
      const reach = await fetchReach(adminSocket);
      return topologyOf({ backend, interface: node.interface }, reach);
    },
    render: (topology, style) => RENDERERS[format](topology, style),
  });
}
