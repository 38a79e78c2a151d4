"""Each image is taught by one of several teachers, chosen by how hard it is."""
