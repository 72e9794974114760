declare module "virtual:kinds" {
  const all: string[];
  export default all;
}
