/** /openapi.json: the table of pages as an OpenAPI document. */
import { Text } from '../admin.ts';

export async function openApiPage(): Promise<Text> {
  const { openApiText } = await import('../../../api/openapi.ts'); // only here: a restart should be short
  return new Text('application/json', openApiText());
}
